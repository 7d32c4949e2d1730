'use strict'

// The users' answers on their way to the back end. Each is kept in the storage
// until it is delivered, and keeps its report_id, by which the back end counts
// it once however often it arrives. The storage belongs to the WeChat account,
// as the consent does, so another login on the phone may deliver them.

const KEY = 'wxnotify.reports'

// Reports kept while the back end is away; the oldest go first. WeChat's own
// push of the same answer, where the gateway gets it, fills the gap.
const MAX_KEPT = 50

// How long a report is kept, in milliseconds. The gateway knows a report_id for
// seven days: after that one whose answer was lost would count a second time.
const MAX_AGE = 6 * 24 * 60 * 60 * 1000

// Answers that will be the same tomorrow: the report is dropped.
const REFUSED = [400, 413, 422]

function createReports({ request, storage, now, newID }) {
  const kept = storage.read(KEY, Array.isArray, []).filter((report) => report && report.results)
  let flushing = null

  function add(results) {
    kept.push({ report_id: newID(), results, at: now() })
    kept.splice(0, kept.length - MAX_KEPT)
    storage.write(KEY, kept)
  }

  // flush delivers what is kept, oldest first, until one cannot be delivered.
  function flush() {
    if (flushing) return flushing
    while (kept.length > 0 && now() - kept[0].at > MAX_AGE) kept.shift()
    if (kept.length === 0) return Promise.resolve()
    flushing = deliver()
    return flushing
  }

  // The end is marked where it is found, not a turn later: a report added
  // between the two would be left lying.
  function deliver() {
    const report = kept[0]
    const body = { report_id: report.report_id, results: report.results }
    return request('POST', '/consents', body).then(({ status }) => {
      const delivered = status >= 200 && status < 300
      if (!delivered && REFUSED.indexOf(status) < 0) return ended()
      // It may be gone already: add drops the oldest.
      if (kept[0] === report) kept.shift()
      storage.write(KEY, kept)
      return kept.length === 0 ? ended() : deliver()
    }, ended)
  }

  function ended() {
    flushing = null
  }

  return { add, flush }
}

module.exports = { createReports }
