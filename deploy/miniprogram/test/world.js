'use strict'

// A phone with a strict WeChat, and the company's back end, for the tests.

const A = 'A-'.padEnd(43, 'a')
const B = 'B-'.padEnd(43, 'b')
const C = 'C-'.padEnd(43, 'c')
const D = 'D-'.padEnd(43, 'd')

// createWorld starts with a back end that plans nothing but what plan says, and
// a user who accepts. Its fields are there to be changed by a test.
function createWorld() {
  const stored = new Map()
  const world = {
    calls: [], // names of what was called on the phone, in order
    dialogs: [], // tmplIds of each
    requests: [], // {method, path, body, header}
    reports: [], // those the back end took
    plan: { ask: [A] },
    storage: stored,
    tapping: false,
    clock: 1700000000000,

    // user answers a dialog: an object is a success, {errCode, errMsg} a failure,
    // undefined leaves it open for world.finish.
    user: (ids) => ids.reduce((res, id) => ({ ...res, [id]: 'accept' }), { errMsg: 'ok' }),
    // backEnd returns {status, body}, or throws when it cannot be reached.
    backEnd: (method, path, body) => {
      if (method === 'GET') return { status: 200, body: world.plan }
      if (path === '/consents') world.reports.push(body)
      return { status: 204 }
    }
  }

  const pending = []
  world.finish = (res) => pending.shift()(res)

  world.api = {
    requestSubscribeMessage({ tmplIds, success, fail }) {
      world.calls.push('requestSubscribeMessage')
      if (!world.tapping) {
        return fail({ errMsg: 'requestSubscribeMessage:fail can only be invoked by user TAP gesture.' })
      }
      if (pending.length > 0) {
        return fail({ errMsg: 'requestSubscribeMessage:fail last call has not ended' })
      }
      world.dialogs.push(tmplIds)
      const finish = (res) => (res.errCode ? fail(res) : success(res))
      const res = world.user(tmplIds)
      if (res) queueMicrotask(() => finish(res))
      else pending.push(finish)
    },
    request({ url, method, data, header, success, fail }) {
      world.calls.push('request')
      const path = url.replace('https://oa.example.com/wechat', '')
      world.requests.push({ method, path, body: data, header })
      queueMicrotask(() => {
        let res
        try {
          res = world.backEnd(method, path, data)
        } catch (err) {
          return fail({ errMsg: 'request:fail ' + err.message })
        }
        success({ statusCode: res.status, data: res.body })
      })
    },
    login({ success }) {
      world.calls.push('login')
      success({ code: 'code-' + world.calls.filter((name) => name === 'login').length })
    },
    getStorage({ key, success }) {
      world.calls.push('getStorage')
      queueMicrotask(() => success({ data: stored.get(key) }))
    },
    getStorageSync(key) {
      world.calls.push('getStorageSync')
      return stored.has(key) ? JSON.parse(stored.get(key)) : ''
    },
    setStorageSync(key, value) {
      world.calls.push('setStorageSync')
      stored.set(key, JSON.stringify(value))
    }
  }

  world.config = {
    api: world.api,
    baseUrl: 'https://oa.example.com/wechat',
    header: () => ({ Authorization: 'Bearer session' }),
    templates: [A, B, C, D],
    now: () => world.clock
  }

  // tap runs a handler as WeChat does: the gesture ends with the turn.
  world.tap = (handler) => {
    world.tapping = true
    try {
      return handler()
    } finally {
      world.tapping = false
    }
  }

  return world
}

// settled waits until the event loop has nothing left to do at once. Everything
// in this world answers in microtasks, so one macrotask is after all of it.
function settled() {
  return new Promise((resolve) => setImmediate(resolve))
}

module.exports = { createWorld, settled, A, B, C, D }
