import assert from 'node:assert/strict'
import { linkSync, mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { discardingLayers } from './discard.ts'

const hex = (digit: string) => digit.repeat(64)

/** Answers with the sizes afterwards of files that the work has written. */
async function sizesAfter(t: TestContext, paths: readonly string[], bytes: number, change?: (folder: string) => void) {
  const folder = mkdtempSync(join(tmpdir(), 'berth-discard-'))
  t.after(() => rmSync(folder, { recursive: true }))
  await discardingLayers({ folder }, async () => {
    for (const path of paths) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), Buffer.alloc(bytes))
    }
    change?.(folder)
  })
  return paths.map((path) => statSync(join(folder, path)).size)
}

suite('discardingLayers', () => {
  const layers = [
    `blobs/sha256/aa/${hex('a')}`,
    `store/pushed/bench/blobs/sha256/${hex('b')}`,
    `store/docker/registry/v2/blobs/sha256/cc/${hex('c')}/data`,
  ]

  test('the layers of every kind of store take no room any more', async (t) => {
    assert.deepEqual(await sizesAfter(t, layers, 1_000_000), [0, 0, 0])
  })

  test('nor does one that has a second name', async (t) => {
    const path = layers[1]!
    const sizes = await sizesAfter(t, [path], 1_000_000, (folder) =>
      linkSync(join(folder, path), join(folder, `${path.slice(0, -64)}${hex('d')}`)),
    )
    assert.deepEqual(sizes, [0])
  })

  test('what is small, what was there before and what is no blob stays', async (t) => {
    assert.deepEqual(await sizesAfter(t, layers, 2_000), [2_000, 2_000, 2_000])
    const age = (folder: string) => utimesSync(join(folder, layers[0]!), 1, 1)
    assert.deepEqual(await sizesAfter(t, layers.slice(0, 1), 1_000_000, age), [1_000_000])
    const others = ['berth.db', 'store/cache.db', `store/many/index.json`, `uploads/${hex('e')}`]
    assert.deepEqual(await sizesAfter(t, others, 1_000_000), [1_000_000, 1_000_000, 1_000_000, 1_000_000])
  })

  test('also when the pushes fail', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'berth-discard-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'blobs', 'sha256', hex('a'))
    await assert.rejects(
      discardingLayers({ folder }, async () => {
        mkdirSync(dirname(path), { recursive: true })
        writeFileSync(path, Buffer.alloc(1_000_000))
        throw new Error('no')
      }),
      { message: 'no' },
    )
    assert.equal(statSync(path).size, 0)
  })
})
