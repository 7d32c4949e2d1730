'use strict'

// How long the back end may take, in milliseconds. wx.request would wait 60 s.
const TIMEOUT = 10000

// createRequest calls the back end through wx.request or uni.request. It
// resolves for every answer, whatever its status, and rejects for none.
function createRequest(api, { baseUrl, header }) {
  return (method, path, body) =>
    new Promise((resolve, reject) => {
      api.request({
        url: baseUrl + path,
        method,
        data: body,
        header: Object.assign({ 'content-type': 'application/json' }, header ? header() : {}),
        timeout: TIMEOUT,
        success: (res) => resolve({ status: res.statusCode, body: res.data }),
        fail: (err) => reject(new Error((err && err.errMsg) || 'request failed'))
      })
    })
}

// guard makes of somebody else's function one that keeps to the contract: it
// never throws, and what it resolves with has a status.
function guard(request) {
  return (method, path, body) =>
    new Promise((resolve) => resolve(request(method, path, body))).then((answer) => {
      if (!answer || typeof answer.status !== 'number') throw new Error('request: no status')
      return answer
    })
}

module.exports = { createRequest, guard }
