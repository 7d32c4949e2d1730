#!/usr/bin/env bash
#
# Checks and tests the whole module on real PostgreSQL and Redis.
#
#   deploy/test.sh                   everything
#   deploy/test.sh -q                quick: gofmt, vet and the tests without the race detector
#   deploy/test.sh ./store/...       the arguments go to go test, and nothing is fuzzed
#
# Servers are taken from the machine (as root on Debian they are installed
# when missing), run on spare ports with their data in a temporary directory,
# and are gone when the script ends, however it ends. Several runs may go on at
# once. It stops at the first step that fails.
#
#   TEST_DATABASE_URL, TEST_REDIS_URL   use these servers and start none
#   TEST_FLAGS      more flags for go test, for instance "-v -run TestClaim"
#   FUZZTIME        time for each fuzz target, default 5s; 0 skips them
#   SKIP_LINT=1     no golangci-lint
#   CI=true         a tool that cannot be had is a failure instead of a warning
#   TOOLS_DIR       where built tools are kept, default ~/.cache/wxnotify-tools

# Monitor mode gives every job its own process group, so that ending a job
# ends what it started too, and a signal to this script never waits for a job.
set -euo pipefail
set -m
exec </dev/null
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly golangci_version=2.15.0
readonly govulncheck_version=1.9.0
readonly gotestsum_version=1.13.0
readonly service_policy=/usr/sbin/policy-rc.d # asked by Debian packages before they start a service
readonly start_deadline=60                    # seconds; a start takes two, on a busy machine ten

work=      # temporary directory of this run
server_as= # user the servers run as, empty for the user of this script
bin=       # set by find_tool

# undisturbed is set while the only job is one that a signal must let end: a
# killed initdb leaves shared memory behind, a killed apt-get broken packages.
undisturbed=

main() {
	local quick=
	case ${1:-} in
	-h | --help) usage && exit 0 ;;
	-q) quick=1 && shift ;;
	esac
	local fuzztime=${FUZZTIME:-5s}
	[[ $# -eq 0 ]] || fuzztime=0
	[[ $# -gt 0 ]] || set -- ./...
	command -v go >/dev/null || die "go is not in PATH; see https://go.dev/doc/install"

	# A clone owned by another user must not stop builds for want of a version stamp.
	GOFLAGS="$(go env GOFLAGS) -buildvcs=false"
	export GOFLAGS
	make_work_dir

	step "gofmt" check_gofmt
	step "go vet" go vet ./...
	if [[ -z $quick ]]; then
		step "go mod tidy -diff" check_tidy
		[[ -n ${SKIP_LINT:-} ]] || lint
		compose_config
		deployment
	fi

	[[ -n ${TEST_DATABASE_URL:-} ]] || need postgresql find_postgres
	[[ -n ${TEST_REDIS_URL:-} ]] || need redis-server find_redis
	[[ -n ${TEST_DATABASE_URL:-} ]] || start_postgres
	[[ -n ${TEST_REDIS_URL:-} ]] || start_redis
	export TEST_DATABASE_URL TEST_REDIS_URL WXNOTIFY_TEST_SERVERS=required
	# Where there is a browser, the console has to work in it.
	if command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null; then
		export WXNOTIFY_TEST_BROWSER=required
	fi

	local flags=(-p 2 -timeout 20m)
	[[ -z ${CI:-} ]] || flags+=(-count=1)
	if [[ -z $quick ]] && race_works; then flags+=(-race); fi
	# shellcheck disable=SC2206 # TEST_FLAGS is a list of words.
	flags+=(${TEST_FLAGS:-})
	if [[ -n ${CI:-} ]] && find_tool gotestsum $gotestsum_version --version gotest.tools/gotestsum; then
		step "go test ${flags[*]} $*" test_again "$*" "${flags[@]}"
	else
		step "go test ${flags[*]} $*" go test "${flags[@]}" "$@"
	fi
	[[ $* != ./... ]] || client_side
	[[ -n $quick || $* != ./... ]] || step "chaos, a few scenarios" chaos

	if [[ -z $quick ]]; then
		[[ $fuzztime =~ ^0[a-z]*$ ]] || step "fuzz, $fuzztime each" fuzz "$fuzztime"
		vulnerabilities
	fi
	printf '\nAll steps passed in %d s.\n' "$SECONDS"
}

usage() { sed -n '3,/^$/{s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }

headline() { printf '\n==> %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# cannot ends the run in CI and is a warning at a desk.
cannot() { if [[ -n ${CI:-} ]]; then die "$@"; else warn "$@"; fi; }

# step TITLE COMMAND... runs one check in the background, since only wait can
# be interrupted by a signal, and ends the script when the check fails.
step() {
	local title=$1 began=$SECONDS rc=0
	shift
	headline "$title"
	"$@" &
	wait "$!" || rc=$?
	if [[ $rc -ne 0 ]]; then
		printf '==> %s: FAILED (exit %d) after %d s\n' "$title" "$rc" "$((SECONDS - began))" >&2
		exit "$rc"
	fi
	printf '    passed, %d s\n' "$((SECONDS - began))"
}

# quietly LOG COMMAND... shows what the command printed only if it fails.
quietly() {
	local log=$1
	shift
	"$@" >"$log" 2>&1 &
	wait "$!" || {
		tail -n 50 "$log" >&2
		die "$1 failed, its output is above"
	}
}

# --- the temporary directory and the end -----------------------------------

# make_work_dir makes the one place this run writes to. Servers started for
# root run as another user, who must be able to reach it.
make_work_dir() {
	local base=${TMPDIR:-/tmp}
	if [[ $EUID -eq 0 ]]; then
		server_as=nobody
		! id postgres >/dev/null 2>&1 || server_as=postgres
		as_server test -x "$base" 2>/dev/null || base=/tmp
	fi
	trap finish EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 141' PIPE
	trap 'exit 143' TERM
	# The name is chosen first, so that a signal finds it whenever it comes.
	work=${base%/}/wxnotify-test.$$.$(secret 4)
	mkdir -m 711 "$work"
	mkdir -m 711 "$work/tmp" # servers that tests start for root go through it
	# What an interrupted go command or test leaves behind goes with the rest.
	export TMPDIR=$work/tmp GOTMPDIR=$work/tmp
}

# finish ends every job with all it started, and removes the directory. It
# asks bash for the jobs, since a signal may have come before a pid was noted.
finish() {
	local rc=$? groups group pidfile=$work/postgres/data/postmaster.pid i
	trap '' HUP INT PIPE TERM
	set +e
	exec 2>/dev/null # bash reports every job that is ended
	[[ -z $undisturbed ]] || wait
	groups=$(jobs -pr)
	for group in $groups; do kill -TERM -- "-$group"; done
	# TERM lets PostgreSQL wait for its clients, INT does not.
	[[ ! -s $pidfile ]] || kill -INT "$(head -n 1 "$pidfile")"
	for group in $groups; do
		for ((i = 0; i < 100; i++)); do
			kill -0 -- "-$group" || break
			sleep 0.1
		done
		kill -KILL -- "-$group"
	done
	wait
	# A test may have made a directory read-only.
	rm -rf "$work" || { chmod -R u+rwX "$work" && rm -rf "$work"; }
	exit "$rc"
}

# secret N prints N random bytes in hexadecimal.
secret() { od -An -v -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }

# --- servers ----------------------------------------------------------------

# as_server runs a command as the user the servers run as: PostgreSQL refuses
# root, and Redis needs no more.
as_server() {
	if [[ -z $server_as ]]; then
		"$@"
	elif command -v setpriv >/dev/null; then
		setpriv --reuid="$(id -u "$server_as")" --regid="$(id -g "$server_as")" --clear-groups -- "$@"
	else
		runuser -u "$server_as" -- "$@"
	fi
}

# server_dir NAME makes a directory only the server can enter.
server_dir() {
	mkdir -m 700 "$work/$1"
	[[ -z $server_as ]] || chown "$server_as" "$work/$1"
}

# need PACKAGE FINDER installs a Debian package if the finder finds no program.
need() {
	local package=$1 finder=$2
	[[ -z $($finder) ]] || return 0
	if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
		undisturbed=1
		step "apt-get install $package" install "$package"
		undisturbed=
		[[ -z $($finder) ]] || return 0
	fi
	die "$package is not installed: run 'apt-get install $package' as root, or name a running server in TEST_DATABASE_URL and TEST_REDIS_URL"
}

# install adds a package without letting it start its own service. The lock is
# waited for, since another run may be installing.
install() {
	# A file that is there already is the machine's own policy, and stays.
	if (set -o noclobber && printf '#!/bin/sh\nexit 101\n' >"$service_policy") 2>/dev/null; then
		trap 'rm -f "$service_policy"' EXIT
		trap 'exit 143' HUP INT TERM
		chmod 755 "$service_policy"
	fi
	local apt=(apt-get -q -y -o DPkg::Lock::Timeout=300)
	export DEBIAN_FRONTEND=noninteractive
	"${apt[@]}" update && "${apt[@]}" install --no-install-recommends "$1"
}

# find_redis and find_postgres print where the programs are, or nothing. Debian
# keeps PostgreSQL's out of PATH; the newest version is taken.
find_redis() {
	command -v redis-server || { [[ ! -x /usr/bin/redis-server ]] || echo /usr/bin/redis-server; }
}
find_postgres() {
	local dir newest=
	newest=$(for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
		[[ ! -x $dir/initdb ]] || echo "$dir"
	done | sort -V | tail -n 1)
	if command -v initdb >/dev/null; then newest=$(dirname "$(command -v initdb)"); fi
	echo "$newest"
}

# spare_port picks a port below those the kernel gives to outgoing connections.
# Should it be taken, the server ends and the caller tries another.
spare_port() { echo $((20000 + RANDOM % 12000)); }

# answers PID CHECK waits until the check holds. It fails when the server ends.
answers() {
	local pid=$1 deadline=$((SECONDS + start_deadline))
	shift
	until "$@"; do
		kill -0 "$pid" 2>/dev/null || return 1
		[[ $SECONDS -lt $deadline ]] || die "no answer from a server within $start_deadline s; see: $(tail -n 5 "$work"/*/log)"
		sleep 0.1
	done
}

# start_postgres makes a cluster that need not survive a power cut, with a
# random password: without one any user of the machine could run commands in it.
start_postgres() {
	local began=$SECONDS dir home=$work/postgres password port try
	dir=$(find_postgres)
	headline "start $("$dir/postgres" --version)"
	password=$(secret 16)
	server_dir postgres
	as_server tee "$home/password" <<<"$password" >/dev/null
	undisturbed=1
	quietly "$work/initdb.log" as_server "$dir/initdb" --pgdata="$home/data" --username=wxnotify \
		--pwfile="$home/password" --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync
	undisturbed=
	for try in 1 2 3 4 5 6 7 8 9 10; do
		port=$(spare_port)
		as_server "$dir/postgres" -D "$home/data" -p "$port" -c listen_addresses=127.0.0.1 \
			-c unix_socket_directories= -c max_connections=300 -c fsync=off -c full_page_writes=off \
			-c jit=off >>"$home/log" 2>&1 &
		if answers "$!" postgres_ready "$home/data"; then
			TEST_DATABASE_URL="postgres://wxnotify:$password@127.0.0.1:$port/postgres?sslmode=disable"
			printf '    port %d, %d s\n' "$port" "$((SECONDS - began))"
			return
		fi
	done
	tail -n 20 "$home/log" >&2
	die "PostgreSQL did not start in $try tries"
}

# postgres_ready reads the state line by which pg_ctl knows, so that another
# server on the port cannot be mistaken for ours.
postgres_ready() { [[ $(sed -n 8p "$1/postmaster.pid" 2>/dev/null) == ready* ]]; }

start_redis() {
	local began=$SECONDS server home=$work/redis password port try
	server=$(find_redis)
	headline "start $("$server" --version | cut -d ' ' -f 1-3)"
	password=$(secret 16)
	server_dir redis
	as_server tee "$home/conf" <<<"requirepass $password" >/dev/null
	for try in 1 2 3 4 5 6 7 8 9 10; do
		port=$(spare_port)
		as_server "$server" "$home/conf" --port "$port" --bind 127.0.0.1 --dir "$home" \
			--save "" --appendonly no >>"$home/log" 2>&1 &
		if answers "$!" redis_ready "$port" "$password"; then
			TEST_REDIS_URL="redis://:$password@127.0.0.1:$port/0"
			printf '    port %d, %d s\n' "$port" "$((SECONDS - began))"
			return
		fi
	done
	tail -n 20 "$home/log" >&2
	die "Redis did not start in $try tries"
}

# redis_ready speaks to the port itself: redis-cli may not be there, and only
# our server takes the password.
redis_ready() {
	(
		exec 3<>"/dev/tcp/127.0.0.1/$1"
		printf 'AUTH %s\r\nPING\r\n' "$2" >&3
		read -r -t 2 auth <&3 && read -r -t 2 ping <&3
		[[ $auth == +OK* && $ping == +PONG* ]]
	) 2>/dev/null
}

# --- checks -----------------------------------------------------------------

check_gofmt() {
	local files
	files=$(gofmt -l .)
	[[ -z $files ]] || die "not formatted, run gofmt -w on: $files"
}

check_tidy() {
	local diff=$work/tmp/tidy-diff
	go mod tidy -diff >"$diff" || {
		head -n 40 "$diff" # the rest is go.sum
		die "run go mod tidy"
	}
}

# race_works tells whether the race detector can be built, which needs a C
# compiler: go turns cgo off when it finds none.
race_works() {
	[[ $(go env CGO_ENABLED) != 1 ]] || return 0
	cannot "no C compiler: the tests run without the race detector"
	return 1
}

# test_again PACKAGES FLAG... runs the tests, and up to three that failed a
# second time: the drills kill processes and stop servers on machines that other
# work slows, and one of two thousand tests must not cost a whole run. What held
# at the second try only is named, as a defect to look into. Data races, panics
# and time-outs are not tried again.
test_again() {
	local packages=$1 report=$work/tmp/unsteady
	shift
	"$bin" --format pkgname --format-hide-empty-pkg --format-icons text --no-color \
		--rerun-fails=1 --rerun-fails-max-failures=3 --rerun-fails-run-root-test \
		--rerun-fails-abort-on-data-race --rerun-fails-report "$report" \
		--packages "$packages" -- "$@" || return
	[[ ! -s $report ]] || warn "these tests failed once and must be looked into: $(cat "$report")"
}

# client_side tests what runs in Mini Programs and in other back ends. Nothing
# else here needs Node or a JDK: a machine without them, CI's too, says so and
# goes on.
client_side() {
	if [[ $(node -p 'parseInt(process.versions.node) >= 18' 2>/dev/null) == true ]]; then
		step "node --test deploy/miniprogram" mini_program
	else
		headline "tests of deploy/miniprogram: skipped, Node 18 or newer is not installed"
	fi
	if command -v javac >/dev/null && command -v java >/dev/null; then
		step "deploy/java/test.sh" deploy/java/test.sh
	else
		headline "tests of deploy/java: skipped, no JDK is installed"
	fi
}

# mini_program prints no more than the numbers when all is well.
mini_program() {
	local log=$work/tmp/node-log
	node --test deploy/miniprogram/test/*.test.js >"$log" || {
		cat "$log"
		return 1
	}
	grep -E '(tests|pass|fail) [0-9]+$' "$log"
}

# chaos runs deploy/chaos.sh in a place that its PostgreSQL can reach. It starts
# servers of its own, since it stops them.
chaos() {
	if [[ -z $(find_postgres) || -z $(find_redis) ]]; then
		cannot "PostgreSQL or Redis is not installed: nothing is broken on purpose"
		return
	fi
	mkdir -m 711 "$work/chaos"
	TMPDIR=$work/chaos deploy/chaos.sh short
}

# find_tool sets bin to a tool of exactly this version, taken from the machine
# or built once into a directory outside the tree.
find_tool() {
	local name=$1 version=$2 version_flag=$3 package=$4 keep candidate
	keep=${TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/wxnotify-tools}/$name-$version
	for candidate in "$(command -v "$name" || true)" "$(go env GOBIN)/$name" "$(go env GOPATH)/bin/$name" "$keep/$name"; do
		if [[ -x $candidate && $("$candidate" "$version_flag" 2>/dev/null) =~ [^0-9.]"$version"([^0-9.]|$) ]]; then
			bin=$candidate
			return
		fi
	done
	headline "build $name $version (once, kept in $keep)"
	# A build for another platform, or with the module's own settings, is not wanted.
	GOOS='' GOARCH='' GOFLAGS='' GOWORK=off GOBIN=$work/tmp go install "$package@v$version" &
	wait "$!" || return 1
	# Moved within the target's file system, a half-written tool is never seen.
	mkdir -p "$keep" && cp "$work/tmp/$name" "$keep/.$$" && mv -f "$keep/.$$" "$keep/$name" || return 1
	bin=$keep/$name
}

lint() {
	if find_tool golangci-lint $golangci_version version github.com/golangci/golangci-lint/v2/cmd/golangci-lint; then
		step "golangci-lint $golangci_version" "$bin" run --allow-parallel-runners ./...
	else
		cannot "golangci-lint $golangci_version could not be built: the code is not linted"
	fi
}

compose_config() {
	if ! docker compose version >/dev/null 2>&1; then
		headline "docker compose config: skipped, docker compose is not installed"
		return
	fi
	step "docker compose config" docker compose --profile '*' config -q
}

# deployment checks what is in deploy with the tools it is for, where they are.
# The tests of cmd/internal/app hold the same files against the program.
deployment() {
	if command -v shellcheck >/dev/null; then
		step "shellcheck" shellcheck deploy/*.sh
	else
		headline "shellcheck: skipped, it is not installed"
	fi
	if command -v hadolint >/dev/null; then
		step "hadolint" hadolint deploy/Dockerfile
	else
		headline "hadolint: skipped, it is not installed"
	fi
	if command -v promtool >/dev/null; then
		step "promtool" alert_rules
	else
		headline "promtool: skipped, it is not installed (Debian: prometheus)"
	fi
	if command -v kubectl >/dev/null; then
		step "kubectl kustomize deploy/k8s" quietly "$work/tmp/kustomize-log" kubectl kustomize deploy/k8s
	else
		headline "kubectl kustomize: skipped, kubectl is not installed"
	fi
	if command -v systemd-analyze >/dev/null; then
		step "systemd-analyze verify" units
	else
		headline "systemd-analyze: skipped, it is not installed"
	fi
}

alert_rules() {
	promtool check rules deploy/prometheus/rules.yml && promtool test rules deploy/prometheus/rules_test.yml &&
		promtool check config --syntax-only deploy/prometheus/prometheus.yml
}

# units verifies copies that start a program which is there. What is said about
# other units of the machine does not matter.
units() {
	local unit copies=()
	mkdir "$work/tmp/units"
	for unit in deploy/systemd/*.service; do
		sed 's|/usr/local/bin/wxnotify|/bin/true|' "$unit" >"$work/tmp/units/${unit##*/}"
		copies+=("$work/tmp/units/${unit##*/}")
	done
	systemd-analyze verify --recursive-errors=no "${copies[@]}"
}

# fuzz runs each fuzz target of the module for a short time. They are found in
# the source: go test -list would build every test once more.
fuzz() {
	local file target
	while IFS=: read -r file target; do
		fuzz_one "${target#func }" "./${file%/*}" "$1"
	done < <(grep -rEo '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' cmd producer store worker)
}

# fuzz_one takes a bare "context deadline exceeded" for the end of the time: at
# the deadline go test may report its own clock as a failure (golang/go#75804,
# present in all of Go 1.26). An input that fails is always named.
fuzz_one() {
	local target=$1 package=$2 time=$3 log=$work/tmp/fuzz-log
	if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -parallel 2 "$package" >"$log" 2>&1; then
		if grep -Eq 'Failing input|seed corpus entry' "$log" || ! grep -Eqx ' +context deadline exceeded' "$log"; then
			cat "$log" >&2
			return 1
		fi
	fi
	printf '    %s %s: %s\n' "$package" "$target" "$(grep '^fuzz: elapsed.*execs' "$log" | tail -n 1)"
}

# vulnerabilities fails for what it finds, not for a database out of reach.
vulnerabilities() {
	if ! find_tool govulncheck $govulncheck_version -version golang.org/x/vuln/cmd/govulncheck; then
		cannot "govulncheck $govulncheck_version could not be built: dependencies are not checked"
		return
	fi
	step "govulncheck" check_vulnerabilities
}

check_vulnerabilities() {
	local rc=0 log=$work/tmp/govulncheck-log
	"$bin" ./... >"$log" 2>&1 || rc=$?
	if [[ $rc -eq 1 ]] && grep -q 'fetching vulnerabilities' "$log"; then
		warn "the vulnerability database is out of reach, dependencies are not checked: $(tail -n 1 "$log")"
		return 0
	fi
	cat "$log"
	return "$rc"
}

main "$@"
