'use strict'

// Asks users of a Mini Program for consent to subscribe messages, and reports
// what they said. Whom to ask for what is decided by the back end's plan; this
// module keeps the plan at hand, because WeChat opens its dialog only in the
// very turn of the event loop in which the user tapped.
//
// Nothing here ever throws or rejects: a consent that could not be asked for
// must not stop the business the user tapped for.

const { createRequest, guard } = require('./request')
const { createStorage } = require('./storage')
const { createPlans } = require('./plans')
const { createReports } = require('./reports')
const { readResults, readFailure } = require('./answer')
const { uuid } = require('./uuid')

// How many templates one dialog may show. WeChat's page says 5 by now, older
// versions of WeChat refuse more than 3.
const DEFAULT_MAX = 3

// How long ask waits for an answer, in milliseconds. Only a WeChat that never
// calls back gets there; an answer that comes later is still reported.
const DEFAULT_ANSWER_WITHIN = 60000

/**
 * @param {object} config
 * @param {string[]} [config.templates] WeChat's template ids to ask for where
 *   prepare and ask name none. Ids are asked for in turn while no plan is known.
 * @param {string[]} [config.longTerm] which of all ids are long-term templates:
 *   WeChat refuses a dialog that mixes them with one-time ones.
 * @param {string} [config.baseUrl] where the back end has the three routes, for
 *   instance https://oa.example.com/wechat. Needed unless request is given.
 * @param {function(): object} [config.header] headers that prove who is logged
 *   in, read anew for each request.
 * @param {function(string, string, object=): Promise<{status: number, body: *}>}
 *   [config.request] replaces wx.request. Gets method, path and body; rejects
 *   only when there was no answer, and must do one or the other in the end.
 * @param {number} [config.max] templates per dialog, 3 unless given.
 * @param {number} [config.answerWithin] milliseconds, 60000 unless given.
 * @param {object} [config.api] wx or uni; the global one unless given.
 * @param {function(): number} [config.now] the clock, in milliseconds.
 * @returns {{login: function, prepare: function, ask: function}}
 */
function createSubscriber(config) {
  const api = config.api || platform()
  const request = guard(config.request || createRequest(api, config))
  const storage = createStorage(api)
  const now = config.now || Date.now
  const plans = createPlans({
    request,
    storage,
    now,
    max: config.max || DEFAULT_MAX,
    longTerm: config.longTerm || []
  })
  const reports = createReports({ request, storage, now, newID: () => uuid(now()) })
  const answerWithin = config.answerWithin || DEFAULT_ANSWER_WITHIN

  // The dialog that is open, or null. WeChat fails a second one.
  let open = null

  // A tap handler may be bound to ask itself, and then gets the event.
  const listOf = (templates) => (Array.isArray(templates) ? templates : config.templates || [])

  /**
   * Fetches the plan for these templates and delivers reports that are left.
   * For onShow. Resolves when done, whatever came of it.
   */
  function prepare(templates) {
    return reports.flush().then(() => plans.refresh(listOf(templates)))
  }

  /**
   * Opens WeChat's dialog for what the plan says. For a tap handler or a payment
   * callback, before anything asynchronous. Resolves when the user has answered,
   * or at once when there is nothing to ask:
   *
   *   outcome   answered, nothing, busy, network, hidden, switched_off, banned,
   *             template, mixed, too_many, not_a_tap, no_answer, unavailable, failed
   *   asked     the template ids of the dialog
   *   accepted  those the user allowed
   *   errCode   WeChat's, where it gave one
   */
  function ask(templates) {
    const list = listOf(templates)
    if (open) return Promise.resolve(unasked('busy'))
    const asked = plans.choose(list)
    if (asked.length === 0) return Promise.resolve(unasked('nothing'))

    // Up to the call below nothing may wait, nor even be put on the event loop:
    // WeChat looks whether it is still in the turn of the tap.
    const dialog = { answer: null, resolve: null, timer: null }
    open = dialog
    const answered = (answer) => {
      if (dialog.answer) return
      dialog.answer = Object.assign({ asked, accepted: [] }, answer)
      close(dialog, dialog.answer)
      record(list, dialog.answer)
    }
    try {
      api.requestSubscribeMessage({
        tmplIds: asked,
        success: (res) => answered(readResults(res, asked)),
        fail: (err) => answered(readFailure(err))
      })
    } catch (err) {
      answered({ outcome: 'unavailable' })
    }
    return new Promise((resolve) => {
      dialog.resolve = resolve
      if (dialog.answer) return close(dialog, dialog.answer)
      dialog.timer = setTimeout(
        () => close(dialog, Object.assign(unasked('no_answer'), { asked })), answerWithin)
    })
  }

  // close lets the business go on and the next dialog come.
  function close(dialog, answer) {
    if (open === dialog) open = null
    clearTimeout(dialog.timer)
    if (dialog.resolve) dialog.resolve(answer)
  }

  function record(list, answer) {
    plans.asked(list, answer)
    if (!answer.results) return
    reports.add(answer.results)
    prepare(list)
  }

  /**
   * Gives the back end a code of wx.login, from which it learns the user's
   * openid. For after the company's own login. Resolves with {bound, status}.
   */
  function login() {
    // A code may be used or too old by the time it arrives: then another, once.
    return sendCode().then((first) => (first.status === 422 ? sendCode() : first))
  }

  function sendCode() {
    const failed = { bound: false, status: 0 }
    return new Promise((resolve) => {
      api.login({ success: (res) => resolve(res.code), fail: () => resolve('') })
    })
      .then((code) => (code ? request('POST', '/login', { code }) : failed))
      .then(({ status }) => ({ bound: status >= 200 && status < 300, status }))
      .catch(() => failed)
  }

  return { login, prepare, ask }
}

function unasked(outcome) {
  return { outcome, asked: [], accepted: [] }
}

// platform is WeChat's own object where there is one: in uni-app too it is what
// opens the dialog.
function platform() {
  /* global wx, uni */
  return typeof wx !== 'undefined' ? wx : uni
}

module.exports = { createSubscriber }
