package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store/sqlite"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// DevConfig is what a Dev is made of.
type DevConfig struct {
	// Config are the settings. Its Redis and Database are not used; its apps and
	// API are replaced by the simulated ones, unless Live.
	Config *config.Config
	// Dir keeps what is remembered; "" is a temporary directory.
	Dir string
	// Live calls the real WeChat for the apps of Config.
	Live bool
	// Simulator says what the simulated WeChat is like; its first app is the
	// default one. Not used when Live.
	Simulator simulator.Config
	// Logger is nil for a file in Dir.
	Logger *zap.Logger
}

// DevProducer is who hands in through Dev.Client.
const DevProducer = "dev"

// Dev is the whole program in one process on embedded parts: the wiring is that
// of production, only Redis, the database and, unless live, WeChat live here.
// OpenDev makes the parts, Start lets the worker run. In between the caller may
// say what users allowed: a worker on a directory with open notifications sends
// at once.
type Dev struct {
	// Dir is where everything is kept that outlives the process, unless it is
	// temporary; LogFile is in it, or "" when the caller gave a logger.
	Dir       string
	LogFile   string
	Store     Store
	Redis     *EmbeddedRedis
	Simulator *SimulatorServer // nil when live

	// Process and Client are there after Start.
	Process *Process
	Client  *producer.Client

	cfg    config.Config
	dir    devDir
	logger *zap.Logger
	stops  stops
}

// OpenDev opens the directory, which fails while another process has it, and
// starts the embedded parts.
func OpenDev(ctx context.Context, c DevConfig) (*Dev, error) {
	d := &Dev{cfg: *c.Config, logger: c.Logger}
	if err := d.open(ctx, c); err != nil {
		return nil, errors.Join(err, d.Stop(context.WithoutCancel(ctx)))
	}
	return d, nil
}

func (d *Dev) open(ctx context.Context, c DevConfig) (err error) {
	if d.dir, err = openDevDir(c.Dir); err != nil {
		return err
	}
	d.Dir = d.dir.path
	d.stops.add("data directory", func(context.Context) error { return d.dir.remove() })
	if err := d.openLog(); err != nil {
		return err
	}
	if err := d.openStore(ctx); err != nil {
		return err
	}
	password := ""
	if c.Live {
		password = rand.Text() // what is put on this queue reaches people
	}
	if d.Redis, err = StartEmbeddedRedis(password); err != nil {
		return err
	}
	d.stops.add("embedded Redis", d.Redis.Stop)
	if c.Live {
		return nil
	}
	return d.simulate(ctx, c.Simulator)
}

func (d *Dev) openLog() error {
	if d.logger != nil {
		return nil
	}
	logger, f, err := d.dir.openLog(d.cfg.LogLevel)
	if err != nil {
		return err
	}
	d.logger, d.LogFile = logger, f.Name()
	d.stops.add("log", func(context.Context) error { return f.Close() })
	return nil
}

func (d *Dev) openStore(ctx context.Context) error {
	s, err := sqlite.Open(ctx, sqlite.Config{Path: d.dir.file(devDatabase), Logger: d.logger})
	if err != nil {
		return fmt.Errorf("open the data directory %s: %w", d.Dir, err)
	}
	d.Store = s
	d.stops.add("store", func(context.Context) error { s.Close(); return nil })
	if err := s.Migrate(ctx, func(string) {}); err != nil {
		return fmt.Errorf("bring the data directory %s up to date: %w", d.Dir, err)
	}
	return nil
}

// simulate starts a WeChat and makes its apps the only ones there are. Of the
// settings only an app's rate is kept: a real token source must not be touched.
func (d *Dev) simulate(ctx context.Context, c simulator.Config) (err error) {
	if d.Simulator, err = ServeSimulator(ctx, "127.0.0.1:0", c, d.logger); err != nil {
		return err
	}
	d.stops.add("simulator", d.Simulator.Stop)
	apps := make([]config.App, len(c.Apps))
	for i, a := range c.Apps {
		set, _ := d.cfg.App(a.AppID)
		apps[i] = config.App{
			AppID: a.AppID, Secret: config.Secret(a.Secret), Default: i == 0, MaxSendRate: set.MaxSendRate,
			TokenSource:      config.TokenSource{Kind: config.TokenStable},
			MiniprogramState: config.Formal, Lang: config.LangCN,
		}
	}
	d.cfg.APIBaseURL, d.cfg.Apps = d.Simulator.URL, apps
	return nil
}

// Start lets the worker, Relay and the admin listener run and makes the client.
func (d *Dev) Start(ctx context.Context) error {
	p, err := StartWorker(ctx, Parts{Config: &d.cfg, Store: d.Store, Redis: d.Redis.NewClient, Logger: d.logger})
	if err != nil {
		return err
	}
	d.Process = p
	d.stops.add("process", p.Stop)

	redis := d.Redis.NewClient(sharedTuning())
	d.stops.add("Redis client", func(context.Context) error { return redis.Close() })
	def, _ := d.cfg.App("")
	d.Client, err = producer.New(producer.Config{
		Redis: redis, Store: d.Store, Producer: DevProducer, DefaultApp: def.AppID,
		MaxAge: d.cfg.MaxAge, Payload: producer.PayloadMode(d.cfg.TaskPayload), Wake: p.Relay.Wake,
		Logger: d.logger, Registerer: p.Registry,
	})
	if err != nil {
		return err
	}
	d.stops.add("producer", func(context.Context) error { return d.Client.Close() })
	return nil
}

// Keep makes a temporary directory stay after Stop, for someone to look at.
func (d *Dev) Keep() { d.dir.temp = false }

// Stop ends everything in order, as Process.Stop does, and removes a temporary
// directory. It may be called before Start and again.
func (d *Dev) Stop(ctx context.Context) error { return d.stops.run(ctx) }
