'use strict'

// uuid makes an RFC 9562 UUID of version 7: the time in front, so that a phone
// with a poor Math.random still makes no two alike. Mini Programs have no
// synchronous source of better chance, and the id is no secret.
function uuid(milliseconds) {
  const time = hex(Math.floor(milliseconds / 0x10000), 8) + hex(milliseconds % 0x10000, 4)
  const variant = hex(0x8000 + random(14), 4)
  return [
    time.slice(0, 8),
    time.slice(8),
    '7' + hex(random(12), 3),
    variant,
    hex(random(24), 6) + hex(random(24), 6)
  ].join('-')
}

function random(bits) {
  return Math.floor(Math.random() * Math.pow(2, bits))
}

function hex(number, digits) {
  return ('00000000' + number.toString(16)).slice(-digits)
}

module.exports = { uuid }
