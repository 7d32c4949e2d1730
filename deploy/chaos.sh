#!/usr/bin/env bash
#
# Breaks a whole deployment under load and counts what is lost: it must be 0.
#
#   deploy/chaos.sh          in full: thousands of notifications in each scenario, fifteen to twenty minutes
#   deploy/chaos.sh short    a few scenarios, under a minute
#   deploy/chaos.sh full workers_killed     one scenario, by a part of its name
#   deploy/chaos.sh outage   Redis, then PostgreSQL away for five minutes under load, stopped and silent: 25 minutes
#   deploy/chaos.sh outage 5m Redis_stopped     one of the four, for that long
#   deploy/chaos.sh asynqmon     press every button of asynqmon's own program, which is fetched, seconds
#
# Producer, Redis, two worker processes, PostgreSQL (with fsync) and a simulated
# WeChat run on spare ports, while one part after the other is killed, wiped,
# cut off, slowed or told to misbehave. The store is then compared with what
# WeChat received; see cmd/internal/app/chaos_test.go. It prints one table and
# fails when anything accepted was lost or sent twice without a doubt on
# record. Nothing it started is left running.
#
# outage (cmd/internal/app/drill_outage_test.go) also prints what the wait costs:
# how long acceptance takes, memory before and during it, how often the servers
# are asked in vain, and how long it takes until all that waited is sent.
#
# Needs go, and PostgreSQL's and Redis's programs: deploy/test.sh installs them
# on Debian.

set -euo pipefail
set -m # the job gets a process group, so that all it started can be ended
exec </dev/null
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=

main() {
	local test mode='' outage=''
	case ${1:-full} in
	-h | --help) sed -n '3,/^$/{s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" && exit 0 ;;
	full | short) test="^TestChaos\$/${2:-}" mode=${1:-full} ;;
	outage) test="^TestOutage\$/${3:-}" outage=${2:-5m} ;;
	asynqmon) test='^TestAsynqmon$' ;;
	*) die "usage: deploy/chaos.sh [full|short [SCENARIO]] | outage [DURATION [SCENARIO]] | asynqmon" ;;
	esac
	command -v go >/dev/null || die "go is not in PATH; see https://go.dev/doc/install"
	command -v redis-server >/dev/null || die "redis-server is not in PATH"

	# PostgreSQL refuses root: the account it runs as must reach its directory.
	local base=${TMPDIR:-/tmp}
	if [[ $EUID -eq 0 ]] && ! runuser -u postgres -- test -x "$base" 2>/dev/null; then base=/tmp; fi
	trap finish EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 141' PIPE
	trap 'exit 143' TERM
	work=$(mktemp -d "${base%/}/wxnotify-chaos.XXXXXX")
	chmod 711 "$work"
	export TMPDIR=$work WXNOTIFY_CHAOS=$mode WXNOTIFY_OUTAGE=$outage WXNOTIFY_TEST_SERVERS=required
	# A clone owned by another user must not stop builds for want of a version stamp.
	GOFLAGS="$(go env GOFLAGS) -buildvcs=false"
	export GOFLAGS

	if [[ ${1:-} == asynqmon ]]; then
		GOBIN=$work go install "github.com/hibiken/asynqmon/cmd/asynqmon@$(go list -m -f '{{.Version}}' github.com/hibiken/asynqmon)"
		export WXNOTIFY_ASYNQMON=$work/asynqmon
	fi
	local began=$SECONDS rc=0
	go test -count=1 -timeout 45m -v -run "$test" ./cmd/internal/app &
	wait "$!" || rc=$?
	printf '%d s, load average %s\n' "$((SECONDS - began))" "$(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || echo unknown)"
	return "$rc"
}

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# finish ends what a signal left running, and removes the directory.
finish() {
	local rc=$? group i
	trap '' HUP INT PIPE TERM
	set +e
	exec 2>/dev/null # bash reports every job that is ended
	for group in $(jobs -pr); do
		# At TERM PostgreSQL waits for its clients, which end by the same signal.
		kill -TERM -- "-$group"
		for ((i = 0; i < 50; i++)); do
			kill -0 -- "-$group" || break
			sleep 0.1
		done
		kill -KILL -- "-$group"
	done
	wait
	[[ -z $work ]] || rm -rf "$work"
	exit "$rc"
}

main "$@"
