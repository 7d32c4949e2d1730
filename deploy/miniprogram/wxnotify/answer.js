'use strict'

// Reads what wx.requestSubscribeMessage answers. Source:
// https://developers.weixin.qq.com/miniprogram/dev/api/open-api/subscribe-message/wx.requestSubscribeMessage.html

// Every way of saying yes. Those with a suffix are documented for wx.getSetting
// only, and are taken as what they say.
const ACCEPTED = ['accept', 'acceptWithAudio', 'acceptWithAlert', 'acceptWithForcePush']

// Every way of not saying yes: refused, the template is banned, left out
// because another one in the dialog has the same title.
const NOT_ACCEPTED = ['reject', 'ban', 'filter']

const OUTCOME_OF_CODE = {
  10001: 'nothing', // no ids
  10002: 'network', // the templates could not be fetched
  10003: 'network', // the answer could not be sent
  10004: 'template', // an id of another type
  10005: 'hidden', // the Mini Program is in the background
  20001: 'template', // no such template
  20002: 'mixed', // one-time and long-term ids in one dialog
  20003: 'too_many',
  20004: 'switched_off', // the user switched all subscribe messages off
  20005: 'banned', // the Mini Program
  20013: 'template' // a device template, which this call cannot ask for
}

// Failures that WeChat reports in words only.
const OUTCOME_OF_WORDS = [
  [/last call has not ended/i, 'busy'],
  [/tap gesture/i, 'not_a_tap']
]

// readResults takes only words it knows: one it does not would make the back
// end refuse the whole report.
function readResults(res, asked) {
  const results = {}
  const accepted = []
  asked.forEach((id) => {
    const said = res ? res[id] : undefined
    if (ACCEPTED.indexOf(said) >= 0) accepted.push(id)
    else if (NOT_ACCEPTED.indexOf(said) < 0) return
    results[id] = said
  })
  const answer = { outcome: 'answered', accepted }
  if (Object.keys(results).length > 0) answer.results = results
  return answer
}

function readFailure(err) {
  const errCode = err && err.errCode
  const words = String((err && err.errMsg) || '')
  const known = OUTCOME_OF_WORDS.filter((pair) => pair[0].test(words))[0]
  const outcome = OUTCOME_OF_CODE[errCode] || (known ? known[1] : 'failed')
  return errCode === undefined ? { outcome } : { outcome, errCode }
}

module.exports = { readResults, readFailure, OUTCOME_OF_CODE }
