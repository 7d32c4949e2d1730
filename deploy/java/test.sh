#!/usr/bin/env bash
#
# Compiles the Java sample for Java 8 and runs its tests. It needs a JDK, 8 or
# newer, and nothing else: test-stubs/ has what the sample uses of Spring and
# Jackson.
#
#   JARS=DIR         compile and run with the jars of DIR (Spring, Jackson) instead
#   TEST_MYSQL_URL   with JARS: also run the SQL on this database (a JDBC URL whose
#                    driver is in JARS); it drops and makes the table wxnotify_outbox

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A JDK 8 has no --release, which also checks that no later API is used.
release=(--release 8)
[[ $(javac -version 2>&1) != "javac 1.8"* ]] || release=(-source 8 -target 8)
flags=("${release[@]}" -encoding UTF-8 "-Xlint:all,-options")

if [[ -z ${JARS:-} ]]; then
	libraries=$work/stubs
	mkdir "$libraries"
	find test-stubs -name '*.java' -exec javac "${flags[@]}" -d "$libraries" {} +
else
	libraries="$JARS/*"
	flags+=("-Xlint:-classfile,-path,-processing") # of the jars
fi

mkdir "$work/classes"
tests='test'
[[ -z ${TEST_MYSQL_URL:-} ]] || tests='test test-mysql'
# shellcheck disable=SC2086 # tests is a list of directories
find src $tests -name '*.java' -exec javac "${flags[@]}" -cp "$libraries" -d "$work/classes" {} +
java -Dfile.encoding=UTF-8 -cp "$work/classes:$libraries" com.example.wxnotify.WxnotifyTest
[[ -z ${TEST_MYSQL_URL:-} ]] || java -cp "$work/classes:$libraries" com.example.wxnotify.OutboxMySQLTest "$TEST_MYSQL_URL" outbox.sql
