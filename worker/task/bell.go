package task

// BellChannel is the pub/sub channel of Redis on which whoever has put a task on
// a queue says so, with the queue's name as the message, so that an idle worker
// asks at once. A ring is a hint and no promise: it may be lost, come late or lie,
// and a worker asks now and then without one.
const BellChannel = "wxnotify:bell"
