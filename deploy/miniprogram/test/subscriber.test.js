'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { createSubscriber } = require('../wxnotify')
const { OUTCOME_OF_CODE } = require('../wxnotify/answer')
const { createWorld, settled, A, B, C, D } = require('./world')

const DAY = 24 * 60 * 60 * 1000

// away makes the back end unreachable.
const away = () => {
  throw new Error('connection refused')
}

// tap opens a dialog, if there is something to ask, and waits until all is done.
async function tap(world, subscriber, templates) {
  const answer = await world.tap(() => subscriber.ask(templates))
  await settled()
  return answer
}

async function prepared(world, change) {
  const subscriber = createSubscriber({ ...world.config, ...change })
  await subscriber.prepare()
  return subscriber
}

test('asks for what the plan says, reports the answer, fetches the next plan', async () => {
  const world = createWorld()
  world.plan = { ask: [C, A] }
  world.user = () => ({ errMsg: 'requestSubscribeMessage:ok', [C]: 'accept', [A]: 'reject' })
  const subscriber = await prepared(world)
  assert.equal(world.requests[0].method, 'GET')
  assert.equal(world.requests[0].path, `/consent-plan?templates=${A},${B},${C},${D}&max=3`)
  assert.equal(world.requests[0].header.Authorization, 'Bearer session')

  const answer = await tap(world, subscriber)
  assert.deepEqual(world.dialogs, [[C, A]])
  assert.equal(answer.outcome, 'answered')
  assert.deepEqual(answer.asked, [C, A])
  assert.deepEqual(answer.accepted, [C])
  assert.deepEqual(world.reports[0].results, { [C]: 'accept', [A]: 'reject' })
  assert.deepEqual(Object.keys(world.reports[0]).sort(), ['report_id', 'results'])
  assert.match(world.reports[0].report_id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.deepEqual(world.requests.map((r) => r.method), ['GET', 'POST', 'GET'])
})

test('every report has an id of its own', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  for (let i = 0; i < 20; i++) await tap(world, subscriber)
  assert.equal(new Set(world.reports.map((r) => r.report_id)).size, 20)
})

test('every way of accepting counts, and words of tomorrow are left out', async () => {
  const world = createWorld()
  world.plan = { ask: [A, B, C, D] }
  world.user = () => ({ [A]: 'acceptWithAudio', [B]: 'acceptWithAlert', [C]: 'acceptWithForcePush', [D]: 'perhaps' })
  const subscriber = await prepared(world, { max: 4 })
  const answer = await tap(world, subscriber)
  assert.deepEqual(answer.accepted, [A, B, C])
  assert.deepEqual(Object.keys(world.reports[0].results), [A, B, C])
})

test('a plan of nothing opens no dialog', async () => {
  const world = createWorld()
  world.plan = { ask: [] }
  const answer = await tap(world, await prepared(world))
  assert.equal(answer.outcome, 'nothing')
  assert.deepEqual(world.dialogs, [])
})

test('a bound tap handler gets the event, which is no list', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  await tap(world, subscriber, { type: 'tap' })
  assert.deepEqual(world.dialogs, [[A]])
})

test('without templates there is nothing to do', async () => {
  const world = createWorld()
  const subscriber = await prepared(world, { templates: undefined })
  assert.equal((await tap(world, subscriber)).outcome, 'nothing')
  assert.deepEqual(world.requests, [])
})

test('each list of templates has its own plan', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  world.plan = { ask: [B] }
  await subscriber.prepare([B, C])
  await tap(world, subscriber, [B, C])
  await tap(world, subscriber)
  assert.deepEqual(world.dialogs, [[B], [A]])
})

test('a late answer to an earlier question does not replace the latest plan', async () => {
  const world = createWorld()
  const waiting = []
  const request = () => new Promise((resolve) => waiting.push(resolve))
  const subscriber = createSubscriber({ ...world.config, request })
  const first = subscriber.prepare()
  const second = subscriber.prepare()
  await settled()
  waiting[1]({ status: 200, body: { ask: [B] } })
  waiting[0]({ status: 200, body: { ask: [A] } })
  await Promise.all([first, second])
  await tap(world, subscriber)
  assert.deepEqual(world.dialogs, [[B]])
})

test('the last plan serves while the back end is away, also after a restart', async () => {
  const world = createWorld()
  world.plan = { ask: [B] }
  await prepared(world)
  world.backEnd = away
  const subscriber = await prepared(world)
  await tap(world, subscriber)
  assert.deepEqual(world.dialogs, [[B]])
})

test('what is no plan is not taken for one', async (t) => {
  const answers = [
    { status: 500, body: { ask: [] } },
    { status: 200, body: '<html>' },
    { status: 200, body: { ask: 'all' } },
    { status: 200, body: null },
    { status: 401, body: { ask: [] } }
  ]
  for (const answer of answers) {
    await t.test(JSON.stringify(answer), async () => {
      const world = createWorld()
      world.plan = { ask: [B] }
      const subscriber = await prepared(world)
      world.backEnd = () => answer
      await subscriber.prepare()
      await tap(world, subscriber)
      assert.deepEqual(world.dialogs, [[B]])
    })
  }
})

test('without a plan, or with one of yesterday, the templates come in turn', async () => {
  const world = createWorld()
  world.plan = { ask: [] }
  await prepared(world)
  world.backEnd = away
  world.clock += DAY
  for (let i = 0; i < 3; i++) await tap(world, await prepared(world))
  assert.deepEqual(world.dialogs, [[A, B, C], [D, A, B], [C, D, A]])
})

test('a plan from the future is one of a clock that was wrong', async () => {
  const world = createWorld()
  world.plan = { ask: [D] }
  await prepared(world)
  world.clock -= DAY
  world.backEnd = away
  await tap(world, await prepared(world))
  assert.deepEqual(world.dialogs, [[A, B, C]])
})

test('plans of the latest twenty lists are kept', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  for (let i = 0; i < 30; i++) {
    world.clock++
    await subscriber.prepare([`template-${i}`])
  }
  const kept = Object.keys(JSON.parse(world.storage.get('wxnotify.plans')))
  assert.equal(kept.length, 20)
  assert.ok(kept.includes('template-29') && !kept.includes('template-9'))
})

test('one kind of template per dialog, whatever comes', async () => {
  const world = createWorld()
  world.plan = { ask: [A, B, C, D] }
  const subscriber = await prepared(world, { longTerm: [B, C] })
  await tap(world, subscriber)
  world.plan = { ask: [B, A, C] }
  await subscriber.prepare()
  await tap(world, subscriber)
  assert.deepEqual(world.dialogs, [[A, D], [B, C]])
})

test('a template that was refused rests until the next plan names it', async () => {
  const world = createWorld()
  world.user = (ids) => ids.reduce((res, id) => ({ ...res, [id]: id === A ? 'reject' : 'accept' }), {})
  world.backEnd = away
  const subscriber = await prepared(world, { templates: [A, B] })
  await tap(world, subscriber)
  await tap(world, subscriber)
  assert.deepEqual(world.dialogs, [[A, B], [B]])

  world.backEnd = () => ({ status: 200, body: { ask: [A] } })
  await subscriber.prepare()
  await tap(world, subscriber)
  assert.deepEqual(world.dialogs[2], [A])
})

test('a report that failed is kept with its id and delivered later, in order', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  const works = world.backEnd
  const tried = []
  world.backEnd = (method, path, body) => {
    if (path === '/consents') tried.push(body.report_id)
    return { status: 503 }
  }
  assert.equal((await tap(world, subscriber)).outcome, 'answered')
  world.backEnd = away
  assert.equal((await tap(world, subscriber)).outcome, 'answered')
  assert.deepEqual(world.reports, [])

  // A new start of the Mini Program.
  world.backEnd = works
  await prepared(world)
  assert.equal(world.reports.length, 2)
  assert.equal(world.reports[0].report_id, tried[0])
  assert.deepEqual(JSON.parse(world.storage.get('wxnotify.reports')), [])
})

test('an answer that stays the same drops the report, another keeps it', async (t) => {
  for (const [status, left] of [[204, 0], [200, 0], [400, 0], [409, 1], [413, 0], [422, 0], [401, 1], [403, 1], [404, 1], [408, 1], [429, 1], [500, 1], [502, 1]]) {
    await t.test(String(status), async () => {
      const world = createWorld()
      const subscriber = await prepared(world)
      world.backEnd = () => ({ status })
      await tap(world, subscriber)
      assert.equal(JSON.parse(world.storage.get('wxnotify.reports')).length, left)
    })
  }
})

test('reports are kept up to a bound, the newest ones', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  const works = world.backEnd
  world.backEnd = away
  for (let i = 0; i < 60; i++) {
    world.user = () => ({ [A]: i < 10 ? 'acceptWithAudio' : 'accept' })
    await tap(world, subscriber)
  }
  world.backEnd = works
  await subscriber.prepare()
  assert.equal(world.reports.length, 50)
  assert.ok(world.reports.every((r) => r.results[A] === 'accept'))
})

test('a report that failed is delivered in the same run, when the page comes again', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  const works = world.backEnd
  for (const trouble of [() => ({ status: 503 }), away]) {
    world.backEnd = trouble
    await tap(world, subscriber)
  }
  world.backEnd = works
  await subscriber.prepare()
  assert.equal(world.reports.length, 2)
})

test('a report that is dropped while it is under way takes no other with it', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  let answer
  world.api.request = ({ method, success }) => {
    if (method === 'POST') answer = () => success({ statusCode: 204 })
  }
  for (let i = 0; i < 51; i++) await tap(world, subscriber)
  world.api.request = ({ fail }) => fail({})
  answer()
  await settled()
  assert.equal(JSON.parse(world.storage.get('wxnotify.reports')).length, 50)
})

test('a report that the back end may have forgotten is not repeated', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  const works = world.backEnd
  world.backEnd = away
  await tap(world, subscriber)
  world.clock += 5 * DAY
  await tap(world, subscriber)
  world.clock += 2 * DAY
  world.backEnd = works
  await subscriber.prepare()
  assert.equal(world.reports.length, 1)
})

test('a report is delivered that came while others were', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  const waiting = []
  world.api.request = ({ method, success }) => {
    if (method === 'POST') waiting.push(() => success({ statusCode: 204 }))
    else success({ statusCode: 200, data: world.plan })
  }
  await tap(world, subscriber)
  await tap(world, subscriber)
  assert.equal(waiting.length, 1)
  waiting[0]()
  await settled()
  assert.equal(waiting.length, 2)
})

test('one report is not sent twice at the same time', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  await Promise.all([tap(world, subscriber), subscriber.prepare(), subscriber.prepare()])
  await settled()
  assert.equal(world.requests.filter((r) => r.method === 'POST').length, 1)
})

test('a second tap while the dialog is open resolves at once', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  world.user = () => undefined
  const first = world.tap(() => subscriber.ask())
  assert.equal((await tap(world, subscriber)).outcome, 'busy')
  assert.equal(world.calls.filter((c) => c === 'requestSubscribeMessage').length, 1)
  world.finish({ [A]: 'accept' })
  assert.equal((await first).outcome, 'answered')
  world.user = () => ({ [A]: 'accept' })
  assert.equal((await tap(world, subscriber)).outcome, 'answered')
})

test('a dialog of somebody else that is still open is no fault', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  world.user = () => undefined
  world.tap(() => world.api.requestSubscribeMessage({ tmplIds: [D], success() {}, fail() {} }))
  assert.equal((await tap(world, subscriber)).outcome, 'busy')
})

test('every failure resolves, is not reported, and does not close the next tap', async (t) => {
  const codes = Object.keys(OUTCOME_OF_CODE).map(Number).concat(99999)
  assert.equal(codes.length, 12)
  for (const errCode of codes) {
    await t.test(String(errCode), async () => {
      const world = createWorld()
      world.plan = { ask: [A, B] }
      const subscriber = await prepared(world)
      world.user = () => ({ errCode, errMsg: 'requestSubscribeMessage:fail' })
      const answer = await tap(world, subscriber)
      assert.equal(answer.outcome, OUTCOME_OF_CODE[errCode] || 'failed')
      assert.equal(answer.errCode, errCode)
      assert.deepEqual(answer.accepted, [])
      assert.deepEqual(world.reports, [])
      world.user = () => ({ [A]: 'accept' })
      assert.equal((await tap(world, subscriber)).outcome, 'answered')
    })
  }
})

test('one unknown template does not silence the others', async () => {
  const world = createWorld()
  world.plan = { ask: [A, B, C] }
  const subscriber = await prepared(world)
  world.user = (ids) =>
    ids.includes(A) ? { errCode: 20001, errMsg: 'fail' } : ids.reduce((res, id) => ({ ...res, [id]: 'accept' }), {})
  for (let i = 0; i < 3; i++) await tap(world, subscriber)
  assert.deepEqual(world.dialogs, [[A, B, C], [A], [B, C]])
})

test('too many templates for this WeChat: fewer next time', async () => {
  const world = createWorld()
  world.plan = { ask: [A, B, C, D] }
  const subscriber = await prepared(world, { max: 4 })
  world.user = (ids) => (ids.length > 3 ? { errCode: 20003, errMsg: 'fail' } : { [A]: 'accept' })
  for (let i = 0; i < 2; i++) await tap(world, subscriber)
  assert.deepEqual(world.dialogs, [[A, B, C, D], [A, B]])
})

test('a phone that cannot ask at all does not stop the business', async (t) => {
  const broken = {
    'no such function': undefined,
    throws: () => {
      throw new Error('invalid')
    }
  }
  for (const [name, requestSubscribeMessage] of Object.entries(broken)) {
    await t.test(name, async () => {
      const world = createWorld()
      world.api.requestSubscribeMessage = requestSubscribeMessage
      const subscriber = await prepared(world)
      assert.equal((await tap(world, subscriber)).outcome, 'unavailable')
      assert.equal((await tap(world, subscriber)).outcome, 'unavailable')
    })
  }
})

test('an answer inside the call is taken', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  world.api.requestSubscribeMessage = ({ success }) => success({ [A]: 'accept' })
  assert.deepEqual((await tap(world, subscriber)).accepted, [A])
  assert.equal(world.reports.length, 1)
})

test('WeChat never answers: the business goes on, and a late answer is reported', async () => {
  const world = createWorld()
  const subscriber = await prepared(world, { answerWithin: 1 })
  world.user = () => undefined
  const answer = await tap(world, subscriber)
  assert.equal(answer.outcome, 'no_answer')
  assert.deepEqual(answer.asked, [A])
  world.finish({ [A]: 'accept' })
  await settled()
  assert.deepEqual(world.reports.map((r) => r.results), [{ [A]: 'accept' }])
  world.user = () => ({ [A]: 'accept' })
  assert.equal((await tap(world, subscriber)).outcome, 'answered')
})

test('a second callback of one call counts nothing', async () => {
  const world = createWorld()
  const subscriber = await prepared(world)
  world.api.requestSubscribeMessage = ({ success, fail }) => {
    success({ [A]: 'accept' })
    success({ [A]: 'accept' })
    fail({ errCode: 10003 })
  }
  await tap(world, subscriber)
  assert.equal(world.reports.length, 1)
})

test('a broken storage costs no tap', async () => {
  const world = createWorld()
  const full = () => {
    throw new Error('storage is full')
  }
  Object.assign(world.api, { getStorageSync: full, setStorageSync: full })
  const subscriber = await prepared(world)
  assert.equal((await tap(world, subscriber)).outcome, 'answered')
  assert.equal(world.reports.length, 1)
})

test('a storage with something else in it is not trusted', async (t) => {
  for (const reports of ['{"a":1}', '[null]', '["text"]']) await t.test(reports, () => started(reports))
})

async function started(reports) {
  const world = createWorld()
  world.storage.set('wxnotify.plans', '"text"')
  world.storage.set('wxnotify.reports', reports)
  const subscriber = await prepared(world)
  assert.equal((await tap(world, subscriber)).outcome, 'answered')
  assert.equal(world.reports.length, 1)
}

test('a request function of the company may throw, reject or answer nonsense', async (t) => {
  const requests = {
    throws: () => {
      throw new Error('not logged in')
    },
    rejects: () => Promise.reject(new Error('offline')),
    nonsense: () => ({ code: 200 }),
    nothing: () => undefined
  }
  for (const [name, request] of Object.entries(requests)) {
    await t.test(name, async () => {
      const world = createWorld()
      const subscriber = await prepared(world, { request })
      assert.deepEqual((await tap(world, subscriber)).asked, [A, B, C])
      assert.equal(JSON.parse(world.storage.get('wxnotify.reports')).length, 1)
      assert.deepEqual(await subscriber.login(), { bound: false, status: 0 })
    })
  }
})

test('login gives the back end a code, and another one for one that was used', async () => {
  const world = createWorld()
  const subscriber = createSubscriber(world.config)
  assert.deepEqual(await subscriber.login(), { bound: true, status: 204 })

  const answers = [422, 204]
  world.backEnd = () => ({ status: answers.shift() })
  assert.deepEqual(await subscriber.login(), { bound: true, status: 204 })
  assert.deepEqual(world.requests.map((r) => r.body), [{ code: 'code-1' }, { code: 'code-2' }, { code: 'code-3' }])
})

test('login that cannot be done says so', async () => {
  const world = createWorld()
  const subscriber = createSubscriber(world.config)
  world.backEnd = () => ({ status: 422 })
  assert.deepEqual(await subscriber.login(), { bound: false, status: 422 })
  world.backEnd = away
  assert.deepEqual(await subscriber.login(), { bound: false, status: 0 })
  world.api.login = ({ fail }) => fail({ errMsg: 'login:fail' })
  assert.deepEqual(await subscriber.login(), { bound: false, status: 0 })
})
