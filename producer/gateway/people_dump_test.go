package gateway

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"
)

// dump is every row of every table, and every key of Redis with what it holds,
// as text. Bytes are in it as they are and as hexadecimal digits.
func (p *people) dump() iter.Seq[string] {
	p.Helper()
	var all []string
	if strings.HasPrefix(p.address, "postgres") {
		all = p.dumpPostgres()
	} else {
		all = p.dumpSQLite()
	}
	all = append(all, p.dumpRedis()...)
	return func(yield func(string) bool) {
		for _, text := range all {
			if !yield(text) {
				return
			}
		}
	}
}

func (p *people) dumpPostgres() (all []string) {
	conn, err := pgx.Connect(p.Context(), p.address)
	p.must(err)
	defer func() { _ = conn.Close(p.Context()) }()
	texts := func(query string) []string {
		rows, err := conn.Query(p.Context(), query)
		p.must(err)
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		p.must(err)
		return found
	}
	tables := texts(`SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace`)
	if len(tables) < 10 {
		p.Fatalf("%d tables", len(tables))
	}
	for _, table := range tables {
		for _, row := range texts(`SELECT t::text FROM ` + pgx.Identifier{table}.Sanitize() + ` AS t`) {
			all = append(all, table+": "+row)
		}
	}
	return all
}

func (p *people) dumpSQLite() (all []string) {
	db, err := sql.Open("sqlite", "file:"+p.address+"?mode=ro")
	p.must(err)
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(p.Context(), `SELECT name FROM sqlite_schema WHERE type = 'table'`)
	p.must(err)
	defer func() { _ = rows.Close() }()
	var tables []string
	for rows.Next() {
		var table string
		p.must(rows.Scan(&table))
		tables = append(tables, table)
	}
	p.must(rows.Err())
	if len(tables) < 10 {
		p.Fatalf("%d tables", len(tables))
	}
	for _, table := range tables {
		all = append(all, p.dumpTable(db, table)...)
	}
	return all
}

func (p *people) dumpTable(db *sql.DB, table string) (all []string) {
	rows, err := db.QueryContext(p.Context(), `SELECT * FROM "`+table+`"`)
	p.must(err)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	p.must(err)
	for rows.Next() {
		values, fields := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			fields[i] = &values[i]
		}
		p.must(rows.Scan(fields...))
		texts := []string{table + ":"}
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b) + " " + hex.EncodeToString(b)
			}
			texts = append(texts, fmt.Sprint(v))
		}
		all = append(all, strings.Join(texts, " "))
	}
	p.must(rows.Err())
	return all
}

func (p *people) dumpRedis() (all []string) {
	for _, pattern := range []string{"*" + p.app + "*", "*" + p.other + "*", "wxnotify:poison"} {
		found := p.redis.Scan(p.Context(), 0, pattern, 10_000).Iterator()
		for found.Next(p.Context()) {
			key := found.Val()
			all = append(all, key)
			switch p.redis.Type(p.Context(), key).Val() {
			case "hash":
				all = append(all, key+fmt.Sprint(p.redis.HGetAll(p.Context(), key).Val()))
			case "list":
				all = append(all, key+fmt.Sprint(p.redis.LRange(p.Context(), key, 0, -1).Val()))
			case "zset":
				all = append(all, key+fmt.Sprint(p.redis.ZRange(p.Context(), key, 0, -1).Val()))
			case "set":
				all = append(all, key+fmt.Sprint(p.redis.SMembers(p.Context(), key).Val()))
			default:
				all = append(all, key+p.redis.Get(p.Context(), key).Val())
			}
		}
		p.must(found.Err())
	}
	return all
}

// hits are the rows and keys in which one of the texts stands, cut short.
func (p *people) hits(texts ...string) (places []string) {
	p.Helper()
	for place := range p.dump() {
		for _, text := range texts {
			if strings.Contains(place, text) || strings.Contains(place, hex.EncodeToString([]byte(text))) {
				places = append(places, fmt.Sprintf("%.200q", place))
				break
			}
		}
	}
	return places
}

// wantNowhere checks that nothing of somebody is left anywhere.
func (p *people) wantNowhere(v victim) {
	p.Helper()
	for _, place := range p.hits(v.texts()...) {
		p.Errorf("still named: %s", place)
	}
}
