import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { sealerOf } from './seal.ts'

describe('sealed text', () => {
  const key = randomBytes(32)
  const sealer = sealerOf(key)

  test('opens again, in another process with the same key too', () => {
    for (const text of ['secret', '', 'w\u00e9rt \u{1f511}', 'x'.repeat(100_000)]) {
      assert.equal(sealerOf(Uint8Array.from(key)).open(sealer.seal(text, 'place'), 'place'), text)
    }
  })

  test('shows nothing of itself and never looks the same', () => {
    const [one, two] = [sealer.seal('secret', 'place'), sealer.seal('secret', 'place')]
    assert.ok(!Buffer.from(one).includes('secret'))
    assert.notDeepEqual(one, two)
  })

  test('does not open in another place or under another key', () => {
    const sealed = sealer.seal('secret', 'place')
    assert.throws(() => sealer.open(sealed, 'elsewhere'))
    assert.throws(() => sealerOf(randomBytes(32)).open(sealed, 'place'))
  })

  test('does not open when any byte was changed or is missing', () => {
    const sealed = sealer.seal('secret', 'place')
    for (let index = 0; index < sealed.length; index++) {
      const changed = Uint8Array.from(sealed)
      changed[index] = (changed[index] ?? 0) ^ 1
      assert.throws(() => sealer.open(changed, 'place'), `byte ${index}`)
      assert.throws(() => sealer.open(sealed.subarray(0, index), 'place'), `${index} bytes`)
    }
  })
})
