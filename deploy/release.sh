#!/usr/bin/env bash
#
# Builds the programs of a release and their checksums, for those without Go.
#
#   deploy/release.sh                 of HEAD, into dist/
#   deploy/release.sh v1.2.0 DIR      of a tag or commit, into DIR
#
# Anyone who builds the same commit with the same Go gets the same bytes: the
# source is a fresh clone of the commit, not the work tree; no path of this
# machine (-trimpath), no C (CGO_ENABLED=0) and no time but the commit's goes in;
# settings of this machine's go command are not used. Check what you downloaded
# with:
#
#   sha256sum --check --ignore-missing SHA256SUMS
#
#   TARGETS             other platforms, default "linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64"
#   SOURCE_DATE_EPOCH   time of the files, default that of the commit
#
# Needs git and go; modules come from GOPROXY.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
	sed -n '3,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"
	exit 0
fi
commit=$(git rev-parse --verify --quiet "${1:-HEAD}^{commit}") || {
	echo "error: ${1:-HEAD} is no commit" >&2
	exit 1
}
out=${2:-dist}
mkdir -p "$out"
out=$(cd "$out" && pwd)
version=$(git describe --tags --always "$commit")
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct "$commit")}
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet --no-checkout --no-hardlinks . "$work/src"
# What a work tree's own settings would change, such as line ends.
git -C "$work/src" -c core.autocrlf=false -c advice.detachedHead=false checkout --quiet "$commit"

# Only what says where modules come from is taken over.
GOENV=off GOFLAGS='' GOWORK=off GOTOOLCHAIN=local CGO_ENABLED=0 GOAMD64=v1 GOARM64=v8.0 GOEXPERIMENT=''
GOPROXY=${GOPROXY:-$(env -u GOENV go env GOPROXY)}
export GOENV GOFLAGS GOWORK GOTOOLCHAIN CGO_ENABLED GOAMD64 GOARM64 GOEXPERIMENT GOPROXY

rm -f "$out"/wxnotify-* "$out/SHA256SUMS"
for target in ${TARGETS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}; do
	os=${target%/*} arch=${target#*/}
	name=wxnotify-$version-$os-$arch
	[[ $os != windows ]] || name+=.exe
	echo "build $name" >&2
	(cd "$work/src" && GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=true -ldflags='-s -w -buildid=' -o "$out/$name" ./cmd/wxnotify)
	touch --date="@$SOURCE_DATE_EPOCH" "$out/$name"
done
cd "$out"
sha256sum wxnotify-* >SHA256SUMS
touch --date="@$SOURCE_DATE_EPOCH" SHA256SUMS
cat SHA256SUMS
