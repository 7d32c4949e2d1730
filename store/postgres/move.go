package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// moveSQL moves notifications without an attempt. One that shall wait moves only
// while what it waits for is not there: nobody would wake it otherwise.
const moveSQL = `
	WITH found AS MATERIALIZED (
		SELECT m.*, n.state AS was, n.app, n.user_id, n.open_id, n.template_id
		FROM unnest((SELECT $1::uuid[]), $2::int[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bool[])
			AS m (id, generation, state, class, reason, delay, requeue)
		JOIN notifications n ON n.id = m.id AND n.generation = m.generation
	), addressed AS MATERIALIZED (
		SELECT m.*, b.open_id AS bound, coalesce(nullif(m.open_id, ''), b.open_id, '') AS address
		FROM found m
		LEFT JOIN bindings b ON m.state = 'waiting' AND m.user_id <> '' AND b.app = m.app AND b.user_id = m.user_id
	)
	UPDATE notifications n
	SET state = m.state, class = m.class, reason = m.reason,
		address = CASE WHEN m.state = 'waiting' AND m.reason = 'no_consent' THEN m.address ELSE n.address END,
		generation = n.generation + (m.state = 'retrying' AND m.requeue)::int,
		due_at = CASE WHEN m.state = 'retrying' THEN now() + m.delay * interval '1 microsecond' ELSE n.due_at END,
		handover_at = CASE WHEN m.state = 'retrying' THEN
			now() + (m.delay + CASE WHEN m.requeue THEN 0 ELSE $8::bigint END) * interval '1 microsecond' END,
		updated_at = now(),
		finished_at = CASE WHEN m.state IN ('dead', 'expired', 'cancelled') THEN now() END
	FROM addressed m
	WHERE n.id = m.id
		AND (m.was IN ('queued', 'retrying') OR (m.was = 'waiting' AND m.state = 'cancelled'))
		AND CASE WHEN m.state <> 'waiting' THEN true ELSE
			CASE m.reason
				WHEN 'unbound' THEN m.bound IS NULL
				WHEN 'no_consent' THEN m.address <> '' AND NOT EXISTS (SELECT FROM consents c
					WHERE c.app = m.app AND c.open_id = m.address AND c.template_id = m.template_id
						AND (c.long_term OR c.balance > 0))
				WHEN 'template_paused' THEN EXISTS (SELECT FROM template_pauses p
					WHERE p.app = m.app AND p.template_id = m.template_id)
				ELSE true
			END END
	RETURNING n.id`

// movedSQL finds the moves that an earlier try applied.
const movedSQL = `
	SELECT n.id
	FROM unnest((SELECT $1::uuid[]), $2::int[], $3::text[], $4::text[], $5::bool[]) AS m (id, generation, state, reason, requeue)
	JOIN notifications n ON n.id = m.id AND n.state = m.state AND n.reason = m.reason
		AND n.generation = m.generation + (m.state = 'retrying' AND m.requeue)::int`

// replayedSQL finds the replays that were applied, by this try or an earlier
// one: nothing else leads a dead notification to the next generation.
const replayedSQL = `
	SELECT n.id
	FROM unnest((SELECT $1::uuid[]), $2::int[]) AS m (id, generation)
	JOIN notifications n ON n.id = m.id AND n.generation = m.generation + 1`

// queueMoves adds the moves, replays apart from the others.
func queueMoves(b *pgx.Batch, moves []store.Move, answers []bool) {
	var (
		moved    moveColumns
		replayed replayColumns
		place    = make(map[[16]byte]int, len(moves))
	)
	for i, m := range moves {
		place[m.ID] = i
		if m.Replay {
			replayed.addMove(m)
			continue
		}
		moved.add(m)
	}
	mark := func(rows pgx.Rows) error {
		var id [16]byte
		_, err := pgx.ForEachRow(rows, []any{&id}, func() error {
			answers[place[id]] = true
			return nil
		})
		return err
	}
	if len(moved.id) > 0 {
		b.Queue(moveSQL, moved.id, moved.generation, moved.state, moved.class, moved.reason, moved.delay, moved.requeue,
			store.HandoverGrace.Microseconds()).Query(mark)
		b.Queue(movedSQL, moved.id, moved.generation, moved.state, moved.reason, moved.requeue).Query(mark)
	}
	if len(replayed.id) > 0 {
		b.Queue(replaySQL, replayed.args()...)
		b.Queue(replayedSQL, replayed.id, replayed.generation).Query(mark)
	}
}

// moveColumns are moves as arrays for unnest.
type moveColumns struct {
	id                   [][16]byte
	generation           []int
	state, class, reason []string
	delay                []int64
	requeue              []bool
}

func (c *moveColumns) add(m store.Move) {
	c.id, c.generation = append(c.id, m.ID), append(c.generation, m.Generation)
	c.state, c.class, c.reason = append(c.state, string(m.State)), append(c.class, string(m.Class)), append(c.reason, string(m.Reason))
	c.delay = append(c.delay, m.Delay.Microseconds())
	c.requeue = append(c.requeue, m.Requeue)
}
