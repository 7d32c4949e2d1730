package app_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// startCluster starts masters that share the slots of a Redis Cluster, and
// returns a client of it and their addresses.
func startCluster(t *testing.T, masters int) (*redis.ClusterClient, []string) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		missing(t, "redis-server")
	}
	const slots = 16384
	ctx := t.Context()
	addrs, buses, nodes := make([]string, masters), make([]string, masters), make([]*redis.Client, masters)
	for i := range nodes {
		port, bus := sparePort(t), sparePort(t)
		addrs[i], buses[i] = net.JoinHostPort("127.0.0.1", port), bus
		cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--cluster-port", bus,
			"--dir", t.TempDir(), "--save", "", "--cluster-enabled", "yes")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		n := redis.NewClient(&redis.Options{Addr: addrs[i]})
		t.Cleanup(func() {
			n.Close()
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // ends by a signal
		})
		eventually(t, "redis-server answers", func() error { return n.Ping(ctx).Err() })
		if err := n.ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err(); err != nil {
			t.Fatal(err)
		}
		nodes[i] = n
	}
	for i, addr := range addrs {
		host, port, _ := net.SplitHostPort(addr)
		if err := nodes[0].Do(ctx, "CLUSTER", "MEET", host, port, buses[i]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		eventually(t, "the cluster is whole", func() error {
			info, err := n.ClusterInfo(ctx).Result()
			if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", masters))) {
				err = fmt.Errorf("not yet: %s", info)
			}
			return err
		})
	}
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})
	t.Cleanup(func() { cluster.Close() })
	return cluster, addrs
}

// The queue may be a Redis Cluster: each script and each transaction stays
// within a slot. The queues of an app lie on several masters here, and what
// writes to Redis is run through: hand over, a token that is replaced, the rest
// of an openid, a dead letter, a rebuild of what was wiped, a pause of the app.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	cluster, addrs := startCluster(t, 3)
	r := newRig(t, simulator.Config{}, map[string]string{
		"REDIS_URL": "redis-cluster://" + strings.Join(addrs, ","), "MAX_SEND_RATE": "500",
	})
	var err error
	r.client, err = producer.New(producer.Config{Redis: cluster, Store: r.store, DefaultApp: r.app.AppID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.client.Close() })
	masters := map[string]bool{}
	for _, p := range store.Priorities {
		m, err := cluster.MasterForKey(ctx, "asynq:{"+string(p)+"}:pending")
		if err != nil {
			t.Fatal(err)
		}
		masters[m.String()] = true
	}
	if len(masters) < 2 {
		t.Fatal("all queues are on one master: that shows nothing")
	}

	_, log, stop := r.start()
	awaitLog(t, log, `"queue rebuilt"`) // of the first start, so that a mark is there
	r.send(1, nil)
	r.awaitStates(map[store.State]int{store.Sent: 1})
	if err := r.sim.Rotate(r.app.AppID, simulator.APIStableToken, true); err != nil {
		t.Fatal(err)
	}
	spread := func(i int, n *producer.Notification) { n.Priority = store.Priorities[i%3] }
	r.send(60, func(i int, n *producer.Notification) {
		spread(i, n)
		switch i {
		case 0:
			r.fault(simulator.Fault{API: simulator.APISend, OpenID: n.OpenID, Action: simulator.ActErrcode, Errcode: 47003, Count: 1})
		case 1:
			r.fault(simulator.Fault{API: simulator.APISend, OpenID: n.OpenID, Action: simulator.ActErrcode, Errcode: 43117, Count: 1})
		}
	})
	r.awaitStates(map[store.State]int{store.Sent: 59, store.Dead: 1, store.Retrying: 1})
	stop()

	wiped := r.send(30, spread)
	err = cluster.ForEachMaster(ctx, func(ctx context.Context, n *redis.Client) error { return n.FlushAll(ctx).Err() })
	if err != nil {
		t.Fatal(err)
	}
	_, log, _ = r.start()
	awaitLog(t, log, "redis was wiped or rolled back")
	r.awaitStates(map[store.State]int{store.Sent: 89, store.Dead: 1, store.Retrying: 1})
	r.wantOnce(wiped)

	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 45009, Count: 1})
	r.send(1, nil)
	for _, p := range store.Priorities {
		key := "asynq:{" + string(p) + "}:paused"
		eventually(t, key+" is there, with an end", func() error {
			left, err := cluster.TTL(ctx, key).Result()
			if err == nil && left <= 0 {
				err = fmt.Errorf("TTL %v", left)
			}
			return err
		})
	}
	if strings.Contains(log.String(), "CROSSSLOT") {
		t.Error("something asked for keys of several slots at once")
	}
}
