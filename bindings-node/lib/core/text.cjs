'use strict'

// Ids are bytes to the core. A string becomes UTF-8, and a lone surrogate the three bytes that UTF-8 would have for it, so that no
// two ids are ever the same. Written out here, for what is not ASCII: Node's own encoder replaces lone surrogates, and a call of
// it for each id takes longer than all of this.

/** Writes `text` at `at`, which has room for three bytes a unit; returns the end. */
function write(bytes, at, text) {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 0x7f) return writeWide(bytes, at, text, i)
    bytes[at++] = unit
  }
  return at
}

function writeWide(bytes, at, text, i) {
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

/** Writes the bytes that a header's value stands for: Node gives each as one character. */
function writeBytes(bytes, at, text) {
  for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i)
  return at
}

/** The bytes of a string of any length. */
function encoded(text) {
  if (text.isWellFormed()) return Buffer.from(text, 'utf8')
  const bytes = Buffer.alloc(text.length * 3)
  return bytes.subarray(0, write(bytes, 0, text))
}

/** A string as it is cut for a map or a message: what is flat, and holds nothing else alive. */
function flat(text) {
  return Buffer.from(text, 'utf16le').toString('utf16le')
}

module.exports = { write, writeBytes, encoded, flat }
