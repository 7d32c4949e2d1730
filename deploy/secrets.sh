#!/usr/bin/env bash
#
# Makes the secrets that docker-compose.yml mounts, in deploy/secrets. What is
# there already is kept, so it may run again. The app's own secret is asked for;
# without a terminal it is read from standard input:
#
#   deploy/secrets.sh
#   deploy/secrets.sh <file-with-the-appsecret
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Only this user enters the directory. The files inside can be read by all,
# since containers see them under their own users.
mkdir -p secrets
chmod 700 secrets
cd secrets

# keep NAME writes standard input to a new file, whole or not at all.
keep() {
	cat >"$1.new"
	chmod 444 "$1.new"
	mv -f "$1.new" "$1"
}

random() { od -An -v -N 24 -tx1 /dev/urandom | tr -d ' \n'; }

for name in redis_password postgres_password admin_password; do
	[[ -s $name ]] || random | keep "$name"
done
# One producer, `default`, until the settings file names others. WeChat's console
# takes a Token of up to 32 letters and digits, and an EncodingAESKey of 43.
[[ -s api_key ]] || printf 'wxn_%s' "$(random)" | keep api_key
[[ -s callback_token ]] || random | cut -c 1-32 | tr -d '\n' | keep callback_token
[[ -s callback_aes_key ]] || random | cut -c 1-43 | tr -d '\n' | keep callback_aes_key
printf 'default:%s' "$(cat api_key)" | keep api_keys
# The URLs follow from the passwords, which are hexadecimal and need no escapes.
printf 'redis://:%s@redis:6379/0' "$(cat redis_password)" | keep redis_url
printf 'postgres://wxnotify:%s@postgres:5432/wxnotify?sslmode=disable' "$(cat postgres_password)" | keep database_url

if [[ ! -s wechat_secret ]]; then
	[[ ! -t 0 ]] || printf 'AppSecret of the Mini Program (not shown): ' >&2
	IFS= read -rs secret || true
	[[ ! -t 0 ]] || echo >&2
	if [[ -z $secret ]]; then
		echo "deploy/secrets/wechat_secret is missing: run this again with the AppSecret" >&2
		exit 1
	fi
	printf '%s' "$secret" | keep wechat_secret
fi
echo "the secrets are in deploy/secrets: the console's password (user admin) is in admin_password, the producer's key in" \
	"api_key, and what WeChat's console needs for the message push in callback_token and callback_aes_key" >&2
