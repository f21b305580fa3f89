'use strict'

// Tenant ids are bytes to the core. A string becomes UTF-8, and a lone surrogate becomes the three bytes that UTF-8 would give its
// code point, so two different ids never become the same bytes. This module encodes non-ASCII ids itself for two reasons: Node's
// encoder replaces lone surrogates, and calling it once an id costs more than this loop.

/** Writes `text` to `bytes` from `at` on and returns the end. `bytes` must have room for three bytes a UTF-16 unit. */
function writeUtf8(bytes, at, text) {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 0x7f) return writeNonAscii(bytes, at, text, i)
    bytes[at++] = unit
  }
  return at
}

function writeNonAscii(bytes, at, text, i) {
  for (; i < text.length; i++) {
    const point = text.codePointAt(i)
    if (point < 0x80) {
      bytes[at++] = point
    } else if (point < 0x800) {
      bytes[at++] = 0xc0 | (point >> 6)
      bytes[at++] = 0x80 | (point & 0x3f)
    } else if (point < 0x10000) {
      bytes[at++] = 0xe0 | (point >> 12)
      bytes[at++] = 0x80 | ((point >> 6) & 0x3f)
      bytes[at++] = 0x80 | (point & 0x3f)
    } else {
      bytes[at++] = 0xf0 | (point >> 18)
      bytes[at++] = 0x80 | ((point >> 12) & 0x3f)
      bytes[at++] = 0x80 | ((point >> 6) & 0x3f)
      bytes[at++] = 0x80 | (point & 0x3f)
      i++
    }
  }
  return at
}

/** Writes the bytes of a header's value, which Node gives as one character a byte, and returns the end. */
function writeLatin1(bytes, at, text) {
  for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i)
  return at
}

/** The UTF-8 bytes of a string of any length. */
function encodeUtf8(text) {
  if (text.isWellFormed()) return Buffer.from(text, 'utf8')
  const bytes = Buffer.alloc(text.length * 3)
  return bytes.subarray(0, writeUtf8(bytes, 0, text))
}

/** The bytes of a tenant id: `isLatin1` says that a string is a header's value, one character a byte. Bytes are returned as they are. */
function idBytes(id, isLatin1) {
  if (typeof id !== 'string') return id
  return isLatin1 ? Buffer.from(id, 'latin1') : encodeUtf8(id)
}

/** A flat copy of a string. A substring that is stored as it is would keep the whole text that it was cut from in memory. */
function flatCopy(text) {
  return Buffer.from(text, 'utf16le').toString('utf16le')
}

module.exports = { writeUtf8, writeLatin1, idBytes, flatCopy }
