package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/callback"
	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
	"github.com/wxnotify/wxnotify/store/sqlite"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// DevConfig is what a Dev is made of.
type DevConfig struct {
	// Config are the settings. Its Redis and Database are not used; its apps,
	// producers, templates and API are replaced by simulated ones, unless Live.
	Config *config.Config
	// Dir keeps what is remembered; "" is a temporary directory.
	Dir string
	// Live calls the real WeChat for the apps of Config.
	Live bool
	// Simulator says what the simulated WeChat is like; its first app is the
	// default one. Not used when Live.
	Simulator simulator.Config
	// Listener is where the gateway listens; nil for LISTEN_ADDR.
	Listener net.Listener
	// Logger is nil for a file in Dir.
	Logger *zap.Logger
}

// DevProducer is who hands in through Dev.Client and with Dev.APIKey.
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
	// GatewayURL is the origin of producers' API, and APIKey opens it with every
	// right; in Dir it stays the same.
	GatewayURL, APIKey string

	// Process and Client are there after Start.
	Process *Process
	Client  *producer.Client

	cfg      config.Config
	dir      devDir
	logger   *zap.Logger
	listener net.Listener
	stops    stops
}

// OpenDev opens the directory, which fails while another process has it, and
// starts the embedded parts.
func OpenDev(ctx context.Context, c DevConfig) (*Dev, error) {
	d := &Dev{cfg: *c.Config, logger: c.Logger, listener: c.Listener}
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
	if err := d.openGateway(ctx); err != nil {
		return err
	}
	if c.Live {
		return nil
	}
	return d.simulate(ctx, c.Simulator)
}

// openGateway binds the address of producers' API, so that what is pushed to it
// before Start waits for that, and lets DevProducer in.
func (d *Dev) openGateway(ctx context.Context) (err error) {
	if d.APIKey, err = d.dir.apiKey(); err != nil {
		return err
	}
	d.cfg.Producers = slices.DeleteFunc(slices.Clone(d.cfg.Producers), func(p config.Producer) bool { return p.Name == DevProducer })
	d.cfg.Producers = append(d.cfg.Producers, config.Producer{
		Name: DevProducer, Keys: []apikey.Hash{apikey.Of(d.APIKey)}, Rights: config.Rights,
	})
	if d.listener == nil {
		var lc net.ListenConfig
		if d.listener, err = lc.Listen(ctx, "tcp", d.cfg.ListenAddr); err != nil {
			return fmt.Errorf("LISTEN_ADDR: %w", err)
		}
	}
	d.stops.add("gateway's address", func(context.Context) error {
		_ = d.listener.Close() // the gateway has, if it was started
		return nil
	})
	d.GatewayURL = "http://" + d.listener.Addr().String()
	return nil
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

// simulate starts a WeChat and makes its apps the only ones there are; it pushes
// its events to the gateway, encrypted. Of the settings only an app's rate is
// kept: a real token source must not be touched.
func (d *Dev) simulate(ctx context.Context, c simulator.Config) (err error) {
	if d.Simulator, err = ServeSimulator(ctx, "127.0.0.1:0", c, d.logger); err != nil {
		return err
	}
	d.stops.add("simulator", d.Simulator.Stop)
	given := d.cfg
	d.cfg.APIBaseURL, d.cfg.Apps, d.cfg.CallbackAddr, d.cfg.Templates = d.Simulator.URL, nil, "", nil
	for i, a := range c.Apps {
		set, _ := given.App(a.AppID)
		push := config.Callback{Token: config.Secret(rand.Text()), AESKey: config.Secret(rand.Text() + rand.Text()[:17])}
		err := d.Simulator.SetCallback(a.AppID, simulator.Callback{
			URL:   d.GatewayURL + strings.Replace(callback.Pattern, "{appid}", a.AppID, 1),
			Token: push.Token.Reveal(), AESKey: push.AESKey.Reveal(), Popups: true,
		})
		if err != nil {
			return err
		}
		d.cfg.Apps = append(d.cfg.Apps, config.App{
			AppID: a.AppID, Secret: config.Secret(a.Secret), Default: i == 0, MaxSendRate: set.MaxSendRate,
			TokenSource: config.TokenSource{Kind: config.TokenStable}, Callback: push, ConsentSource: config.ConsentEvent,
			MiniprogramState: config.Formal, Lang: config.LangCN,
		})
		d.cfg.Templates = append(d.cfg.Templates, devTemplates(a)...)
	}
	return nil
}

// Start lets the worker, the gateway and the admin listener run and makes the
// client.
func (d *Dev) Start(ctx context.Context) error {
	p, err := StartGateway(ctx, Parts{
		Config: &d.cfg, Store: d.Store, Redis: d.Redis.NewClient, Logger: d.logger, Listener: d.listener,
	}, true)
	if err != nil {
		return err
	}
	d.Process = p
	d.stops.add("process", p.Stop)

	d.Client, err = p.Client.For(DevProducer)
	return err
}

// Keep makes a temporary directory stay after Stop, for someone to look at.
func (d *Dev) Keep() { d.dir.temp = false }

// Stop ends everything in order, as Process.Stop does, and removes a temporary
// directory. It may be called before Start and again.
func (d *Dev) Stop(ctx context.Context) error { return d.stops.run(ctx) }
