package console

import (
	"crypto/sha256"
	"net/http"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/producer/gateway/console/password"
	"github.com/wxnotify/wxnotify/worker/task"
)

// Path is where the console is mounted, QueuesPath where asynqmon is.
const (
	Path       = "/admin"
	QueuesPath = Path + "/queues"
)

// Console serves the pages. It is safe for concurrent use.
type Console struct {
	cfg       Config
	handler   http.Handler
	pages     pages
	users     map[string]account
	nobody    password.Hash // somebody's: it takes the time of a password for unknown names
	tries     *tries
	hashing   chan struct{} // one place for each password that is verified at a time
	origin    *http.CrossOriginProtection
	inspector *asynq.Inspector
	queuesCSP string
	bulkStep  int // bulkStep, but for tests
}

// account is a user with what tells whether the password is still the one of a
// session.
type account struct {
	User
	credential [sha256.Size]byte
}

// maxHashing is how many passwords are verified at a time: each takes memory,
// and guesses that wait cost an attacker more than the process.
const maxHashing = 2

// New makes a Console.
func New(c Config) (*Console, error) {
	c, err := c.check()
	if err != nil {
		return nil, err
	}
	pages, err := loadPages()
	if err != nil {
		return nil, err
	}
	made := &Console{
		cfg: c, pages: pages, users: map[string]account{}, nobody: c.Users[0].Password, tries: newTries(c.Now),
		hashing: make(chan struct{}, maxHashing), origin: http.NewCrossOriginProtection(), bulkStep: bulkStep,
		inspector: asynq.NewInspectorFromRedisClient(c.Redis),
	}
	for _, u := range c.Users {
		made.users[u.Name] = account{User: u, credential: sha256.Sum256([]byte(u.Password.String()))}
	}
	if c.Queues != nil {
		made.queuesCSP = queuesPolicy(c.Queues)
	}
	made.handler = made.mux()
	return made, nil
}

// Successor is a Console with other settings in this one's place: it knows of the
// wrong passwords that this one saw. Sessions are in the store; those of users
// who are gone or have another password are over.
func (c *Console) Successor(config Config) (*Console, error) {
	next, err := New(config)
	if err != nil {
		return nil, err
	}
	next.tries, next.hashing = c.tries, c.hashing
	return next, nil
}

// ServeHTTP implements http.Handler for everything under Path.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// queues are those of an app, highest priority first.
func (c *Console) queues(app string) []string { return task.Queues(app, c.cfg.DefaultApp) }
