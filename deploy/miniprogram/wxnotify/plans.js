'use strict'

// What to ask for at the next tap: the back end's plan, kept in memory and in
// the storage per list of templates. Without a plan, the list itself in turn.

const KEY = 'wxnotify.plans'

// A plan older than this says little about who is waiting for what: the list
// is asked for instead.
const MAX_AGE = 24 * 60 * 60 * 1000

// Lists of which a plan is kept; a Mini Program has one per page or so.
const MAX_KEPT = 20

function createPlans({ request, storage, now, max, longTerm }) {
  // {<ids joined>: {ids, at, turn}}; ids is absent when no plan ever came, turn
  // counts the ids already asked for without one.
  const kept = storage.read(KEY, isObject, {})

  // Of this run only: templates the user refused since the last plan, those
  // WeChat does not know, and the number per dialog while a fault is looked for.
  const resting = {}
  const faulty = {}
  let limit = max

  // Answers may overtake each other; only the one to the latest question counts.
  const latest = {}
  let questions = 0

  // choose reads memory only, see ask.
  function choose(list) {
    const plan = kept[list.join()] || {}
    const ids = (isFresh(plan) ? plan.ids : rotate(list, plan.turn || 0))
      .filter((id) => !resting[id] && !faulty[id])
    return ids.filter((id) => isLongTerm(id) === isLongTerm(ids[0])).slice(0, limit)
  }

  function isFresh({ ids, at }) {
    const age = now() - at
    return Array.isArray(ids) && age >= 0 && age < MAX_AGE
  }

  function isLongTerm(id) {
    return longTerm.indexOf(id) >= 0
  }

  // refresh fetches a plan; a failure leaves the last one.
  function refresh(list) {
    if (list.length === 0) return Promise.resolve()
    const key = list.join()
    const question = ++questions
    latest[key] = question
    return request('GET', path(list, max))
      .then(({ status, body }) => {
        const ids = status === 200 ? idsOf(body) : null
        if (!ids || latest[key] !== question) return
        ids.forEach((id) => delete resting[id])
        keep(key, { ids, at: now() })
      })
      .catch(() => {})
  }

  // asked takes in how a dialog for this list went.
  function asked(list, answer) {
    const key = list.join()
    const { outcome, results } = answer
    if (outcome === 'template' || outcome === 'mixed' || outcome === 'too_many') {
      return narrow(answer.asked, outcome)
    }
    if (!results) return
    Object.keys(results).forEach((id) => {
      if (answer.accepted.indexOf(id) < 0) resting[id] = true
    })
    const turn = ((kept[key] || {}).turn || 0) + answer.asked.length
    keep(key, { turn: turn % list.length })
  }

  // narrow keeps one bad id from silencing the others: WeChat refuses the whole
  // dialog and does not say for which id, so they are asked for one by one
  // until it is found.
  function narrow(ids, outcome) {
    if (ids.length > 1) {
      limit = outcome === 'too_many' ? Math.floor(ids.length / 2) : 1
      return
    }
    faulty[ids[0]] = true
    limit = max
  }

  function keep(key, change) {
    kept[key] = Object.assign({}, kept[key], change)
    const byAge = Object.keys(kept).sort((a, b) => (kept[b].at || 0) - (kept[a].at || 0))
    byAge.slice(MAX_KEPT).forEach((old) => {
      if (old !== key) delete kept[old]
    })
    storage.write(KEY, kept)
  }

  return { choose, refresh, asked }
}

function path(list, max) {
  return '/consent-plan?templates=' + list.map(encodeURIComponent).join() + '&max=' + max
}

// idsOf is null for a body that is no plan.
function idsOf(body) {
  const ask = isObject(body) ? body.ask : null
  if (!Array.isArray(ask)) return null
  return ask.filter((id, i) => typeof id === 'string' && id !== '' && ask.indexOf(id) === i)
}

function rotate(list, turn) {
  const start = turn % list.length || 0
  return list.slice(start).concat(list.slice(0, start))
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

module.exports = { createPlans }
