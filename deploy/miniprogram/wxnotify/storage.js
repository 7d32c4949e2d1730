'use strict'

// The Mini Program's storage. A full or broken one costs what it would have
// kept, never a tap.

function createStorage(api) {
  // read is fallback for what is not there, cannot be read, or is not of the form.
  function read(key, hasForm, fallback) {
    try {
      const value = api.getStorageSync(key)
      return hasForm(value) ? value : fallback
    } catch (err) {
      return fallback
    }
  }

  function write(key, value) {
    try {
      api.setStorageSync(key, value)
    } catch (err) {
      // Still in memory, until the Mini Program ends.
    }
  }

  return { read, write }
}

module.exports = { createStorage }
