package worker

import (
	"errors"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/wxnotify/wxnotify/worker/task"
)

// markerStart begins the text of every deadError.
const markerStart = "dead "

// message is what asynq stores about a task, as far as a sweep looks at it.
type message struct {
	id       string
	taskType string
	payload  []byte
	lastErr  string
	retry    int64
	retried  int64
	deadline int64 // unix seconds; 0 for none
}

// messageName is the name of asynq's own type. It is not exported, but asynq
// registers it, so a message is judged by the very rules by which asynq itself
// will read it, or fail to.
const messageName = "asynq.TaskMessage"

// errNoMessageType means that a newer asynq names its type differently; nothing
// can be called undecodable then.
var errNoMessageType = errors.New("asynq's message type is not known")

// decodeMessage reads what asynq stored.
func decodeMessage(b []byte) (message, error) {
	typ, err := protoregistry.GlobalTypes.FindMessageByName(messageName)
	if err != nil {
		return message{}, errNoMessageType
	}
	m := typ.New()
	if err := proto.Unmarshal(b, m.Interface()); err != nil {
		return message{}, err
	}
	get := func(name protoreflect.Name) protoreflect.Value { return m.Get(typ.Descriptor().Fields().ByName(name)) }
	return message{
		id: get("id").String(), taskType: get("type").String(), payload: get("payload").Bytes(), lastErr: get("error_msg").String(),
		retry: get("retry").Int(), retried: get("retried").Int(), deadline: get("deadline").Int(),
	}, nil
}

// gaveUp reports that asynq archived the task by itself, without an answer of
// ours: its worker died, or it was handed back, and it had no retry left. A
// person's archiving leaves retries or no error.
func (m message) gaveUp() bool {
	return m.lastErr != "" && m.retried >= m.retry && !m.dead()
}

// dead reports that the task is the view of a dead letter.
func (m message) dead() bool { return strings.HasPrefix(m.lastErr, markerStart) }

// tooLate reports that the task's own asynq deadline went by: it never ran.
func (m message) tooLate(now time.Time) bool { return m.deadline != 0 && m.deadline <= now.Unix() }

// task is the message as a handler gets it.
func (m message) task() *asynq.Task { return asynq.NewTask(m.taskType, m.payload) }

// isOurs reports whether a TaskID is one of ours, so that a row decides.
func isOurs(taskID string) bool {
	_, _, ours := task.ParseID(taskID)
	return ours
}
