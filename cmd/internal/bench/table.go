package bench

import (
	"fmt"
	"strings"
)

// Table is the report for people: what was measured, a row each.
func (r *Report) Table() (header []string, rows [][]string) {
	columns := []column{
		{"MSG/S", figRate, 1, 0},
		{"SPREAD", "", 0, 0},
		{"OF IDEAL", figIdeal, 1, 2},
		{"P50 MS", figP50, 1, 1},
		{"P99 MS", figP99, 1, 1},
		{"IDLE CORE", figIdleCore + partWorker, 1, 3},
		{"CPU µs WORKER", figCPU + partWorker, 1, 0},
		{"GATEWAY", figCPU + partGateway, 1, 0},
		{"CLIENT", figCPU + partClient, 1, 0},
		{"REDIS", figCPU + partRedis, 1, 0},
		{"POSTGRES", figCPU + partPostgres, 1, 0},
		{"SIMULATOR", figCPU + partSimulator, 1, 0},
		{"REDIS CMDS", figCommands, 1, 2},
		{"SQL", figStatements, 1, 3},
		{"TX", figTransactions, 1, 3},
		{"FSYNCS", figFsyncs, 1, 3},
		{"ALLOCS", figAllocs, 1, 0},
		{"REDIS B", figRedisBytes, 1, 0},
		{"PG B", figPGBytes, 1, 0},
		{"WAL B", figWAL, 1, 0},
		{"PEAK MB", figMemory, 1e-6, 0},
	}
	header = []string{"SCENARIO", "API", "IN FLIGHT", "PIPELINE"}
	for _, c := range columns {
		header = append(header, c.title)
	}
	for _, res := range r.Results {
		row := []string{res.Scenario, fmt.Sprintf("%d ms", res.LatencyMS), fmt.Sprint(res.Concurrency), res.Pipeline}
		for _, c := range columns {
			row = append(row, c.cell(res))
		}
		rows = append(rows, row)
	}
	return header, rows
}

// column is one figure of the table.
type column struct {
	title, figure string // figure "" is the spread of the rate
	factor        float64
	digits        int
}

func (c column) cell(res Result) string {
	if c.figure == "" {
		if f, ok := res.Figures[figRate]; ok && len(f.Runs) > 1 {
			return fmt.Sprintf("%.0f-%.0f", f.Min, f.Max)
		}
		return "-"
	}
	f, ok := res.Figures[c.figure]
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%.*f", c.digits, f.Median*c.factor)
}

// TargetTable is what the report says of the targets.
func (r *Report) TargetTable() (header []string, rows [][]string) {
	for _, t := range r.Targets {
		verdict := "not met"
		switch {
		case t.Got == nil:
			verdict = "-"
		case t.Met:
			verdict = "met"
		}
		rows = append(rows, []string{t.Name, t.Wants, t.Shown, verdict})
	}
	return []string{"TARGET", "WANTS", "GOT", ""}, rows
}

// String names the machine.
func (m Machine) String() string {
	parts := []string{m.Host, m.OS, fmt.Sprintf("%d cores", m.Cores)}
	if m.Processor != "" {
		parts = append(parts, m.Processor)
	}
	if m.Memory > 0 {
		parts = append(parts, fmt.Sprintf("%d GiB", (m.Memory+1<<29)>>30))
	}
	return strings.Join(append(parts, m.Go, "Redis "+m.Redis, "PostgreSQL "+m.Postgres), ", ")
}
