'use strict'

// WeChat opens its dialog only in the turn of the event loop in which the user
// tapped. These tests look at that turn, and check that they can see a fault.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { createHook } = require('node:async_hooks')
const { readFileSync } = require('node:fs')
const Module = require('node:module')
const path = require('node:path')
const { createWorld, settled, A } = require('./world')

const source = path.join(__dirname, '../wxnotify/index.js')
const real = require(source)

// beforeTheCall taps and returns what happened on the way to WeChat's dialog:
// calls to the phone, and whatever was put on the event loop (promises, timers,
// microtasks), of which node itself tells. It throws when the turn ended
// without a dialog.
function beforeTheCall(world, handler) {
  const steps = []
  let on = false
  const note = (step) => {
    if (on) steps.push(step)
  }
  const hook = createHook({ init: (id, type) => note(type) })
  Object.keys(world.api).forEach((name) => {
    const call = world.api[name]
    world.api[name] = (...args) => {
      note(name)
      if (name === 'requestSubscribeMessage') on = false
      return call(...args)
    }
  })
  hook.enable()
  try {
    world.tap(() => {
      on = true
      handler()
      on = false
    })
  } finally {
    on = false
    hook.disable()
  }
  assert.equal(world.dialogs.length, 1, 'no dialog opened in the turn of the tap')
  return steps
}

// check fails if anything stands between the tap and WeChat.
async function check({ createSubscriber }) {
  const world = createWorld()
  const subscriber = createSubscriber(world.config)
  await subscriber.prepare()
  const steps = beforeTheCall(world, () => subscriber.ask())
  assert.deepEqual(steps, ['requestSubscribeMessage'])
  await settled()
}

// planted is the module with a line put where ask begins.
function planted(line, asynchronous) {
  const anchor = '  function ask(templates) {\n'
  const code = readFileSync(source, 'utf8')
  assert.equal(code.split(anchor).length, 2, 'ask is not where it was')
  const file = new Module(source, module)
  file.filename = source
  file.paths = module.paths
  file._compile(code.replace(anchor, (asynchronous ? 'async ' : '') + anchor + line + '\n'), source)
  return file.exports
}

test('nothing precedes the dialog in the turn of the tap', () => check(real))

test('nothing precedes it when there never was a plan', async () => {
  const world = createWorld()
  const subscriber = real.createSubscriber(world.config)
  assert.deepEqual(beforeTheCall(world, () => subscriber.ask()), ['requestSubscribeMessage'])
  await settled()
})

test('the check sees what must not be there', async (t) => {
  const faults = [
    ['an await', 'await null', true],
    ['an await of the plan', 'await prepare(templates)', true],
    ['a promise', 'Promise.resolve().then(() => {})'],
    ['a new promise', 'new Promise(() => {})'],
    ['a timer', 'setTimeout(() => {}, 0)'],
    ['setImmediate', 'setImmediate(() => {})'],
    ['a microtask', 'queueMicrotask(() => {})'],
    ['a request', "api.request({ url: '', method: 'GET', success() {}, fail() {} })"],
    ['the storage, asynchronously', "api.getStorage({ key: 'step', success() {} })"],
    ['the storage', "api.getStorageSync('step')"]
  ]
  for (const [name, line, asynchronous] of faults) {
    await t.test(name, async () => {
      const module = planted(line, asynchronous)
      await assert.rejects(check(module), { name: 'AssertionError' })
      await settled()
    })
  }
})

// The way of many tutorials: the storage is read first, WeChat asked in its
// callback. By then the tap is over.
test('a dialog behind a callback is refused by the phone', async () => {
  const world = createWorld()
  const failure = await new Promise((resolve) => {
    world.tap(() =>
      world.api.getStorage({
        key: 'step',
        success: () => world.api.requestSubscribeMessage({ tmplIds: [A], success: resolve, fail: resolve })
      })
    )
  })
  assert.match(failure.errMsg, /TAP gesture/)
  assert.deepEqual(world.dialogs, [])
})

test('a tap that comes too late resolves and says so', async () => {
  const world = createWorld()
  const answer = await real.createSubscriber(world.config).ask()
  assert.equal(answer.outcome, 'not_a_tap')
})
