import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseImageConfig } from './image-config.ts'

describe('image config', () => {
  for (const [text, expected] of [
    ['{"architecture":"amd64","os":"linux","rootfs":{}}', { architecture: 'amd64', os: 'linux' }],
    ['{"os":"windows"}', { os: 'windows' }],
    ['{"architecture":1,"os":null}', {}],
    ['{"architecture":"amd\\u000064","os":"linux"}', { os: 'linux' }],
    ['{}', {}],
    ['[]', {}],
    ['null', {}],
    ['"os"', {}],
    ['', {}],
    ['{', {}],
    ['\u{feff}{"os":"linux"}', {}],
    ['[{'.repeat(1 << 20), {}],
  ] as const) {
    test(`${text.slice(0, 40)} shows ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(parseImageConfig(Buffer.from(text)), expected)
    })
  }

  test('bytes that are not text show nothing', () => {
    assert.deepEqual(parseImageConfig(Uint8Array.of(0x1f, 0x8b, 0xff, 0x00)), {})
  })
})
