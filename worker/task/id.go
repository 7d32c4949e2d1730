package task

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
)

// Options of every task made by us.
const (
	// MaxRetry is out of reach: the budget is in the row, and asynq must never
	// archive a notification for having been handed back often.
	MaxRetry = 1 << 20
	// Timeout only bounds how long asynq waits for a handler that was abandoned;
	// the calls inside have far smaller deadlines of their own. asynq stores
	// whole seconds and reads 0 as 30 minutes, so it is given in full minutes.
	Timeout = 30 * time.Minute
)

// Unique (a lock on the payload), Deadline (tasks past it burn their retries
// without being run), Group and Retention are not used.

// ID is the TaskID of one delivery: "<notification id>:<generation>".
func ID(id uuid.UUID, generation int) string {
	return id.String() + ":" + strconv.Itoa(generation)
}

// ParseID is the inverse of ID; ok is false for any other TaskID, which then
// belongs to a raw task.
func ParseID(taskID string) (id uuid.UUID, generation int, ok bool) {
	left, right, found := strings.Cut(taskID, ":")
	if !found || len(left) != 36 {
		return uuid.Nil, 0, false
	}
	id, err := uuid.Parse(left)
	if err != nil {
		return uuid.Nil, 0, false
	}
	generation, err = strconv.Atoi(right)
	if err != nil || generation < 1 {
		return uuid.Nil, 0, false
	}
	return id, generation, true
}

// rawSpace is the namespace of the ids of adopted raw tasks.
var rawSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/wxnotify/wxnotify/raw"))

// RawID is the notification id of a raw task: the same queue and TaskID give
// the same id, so adopting a redelivery finds the row of the first.
func RawID(queue, taskID string) uuid.UUID {
	return uuid.NewSHA1(rawSpace, []byte(queue+"\x00"+taskID))
}

// New makes the task of one delivery. payload is a marshaled Payload.
func New(id uuid.UUID, generation int, queue string, payload []byte) *asynq.Task {
	return NewTraced(id, generation, queue, payload, nil)
}

// NewTraced is New with the headers of a trace, nil for none.
func NewTraced(id uuid.UUID, generation int, queue string, payload []byte, headers map[string]string) *asynq.Task {
	return asynq.NewTaskWithHeaders(Type, payload, headers,
		asynq.TaskID(ID(id, generation)), asynq.Queue(queue), asynq.MaxRetry(MaxRetry), asynq.Timeout(Timeout))
}
