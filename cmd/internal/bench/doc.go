// Package bench measures the pipeline beside two others on the same servers in
// one run: a bare asynq server that keeps no record, and the naive one that
// reads the token, reads the openid and writes a log row for every message. It
// owns the servers it starts, what it loads, the counters it reads and the
// report. The processes under measure are children of the same program, so
// that CPU time has an owner; what they do is the program's own code for ours,
// and Peer for the other two. The form of the report is not public.
package bench
