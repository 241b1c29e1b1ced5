import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { openTestDatabase } from '../../../test/database.ts'
import { differencesOf } from './differences.ts'
import { compareKeys, pagesOf, type Row } from './rows.ts'

const table = { key: ['a', 'b'], columns: ['a', 'b', 'value'] }

async function* inPages(rows: readonly Row[], size: number): AsyncGenerator<Row[]> {
  for (let start = 0; start < rows.length; start += size) yield rows.slice(start, start + size)
}

async function differences(source: readonly Row[], target: readonly Row[]) {
  const found = { missing: [] as Row[], changed: [] as Row[], extra: [] as Row[], same: [] as Row[] }
  for await (const batch of differencesOf(inPages(source, 3), inPages(target, 4), table)) {
    for (const kind of ['missing', 'changed', 'extra', 'same'] as const) found[kind].push(...batch[kind])
  }
  return found
}

const row = (a: number, b: string, value: unknown = 0): Row => ({ a, b, value })

suite('differences', () => {
  test('are found on either side, at the beginning, between and at the end', async () => {
    const source = [row(1, 'a'), row(1, 'c'), row(2, 'a', 'new'), row(3, 'a', Buffer.from('x')), row(9, 'z')]
    const target = [
      row(0, 'a'),
      row(1, 'a'),
      row(1, 'b'),
      row(2, 'a', 'old'),
      row(3, 'a', new Uint8Array([120])),
      row(8, 'a'),
    ]
    assert.deepEqual(await differences(source, target), {
      missing: [row(1, 'c'), row(9, 'z')],
      changed: [row(2, 'a', 'new')],
      extra: [row(0, 'a'), row(1, 'b'), row(8, 'a')],
      same: [row(1, 'a'), row(3, 'a', Buffer.from('x'))],
    })
    assert.deepEqual(await differences([], []), { missing: [], changed: [], extra: [], same: [] })
  })

  test('carried out, make any table like any other', async () => {
    let seed = 7
    const random = (below: number) => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed % below
    }
    const some = () =>
      Array.from({ length: 2_000 }, (_, i) => row(Math.floor(i / 40), `k${i % 40}`, random(3)))
        .filter(() => random(3) > 0)
        .toSorted((one, other) => compareKeys(one, other, table.key))
    for (let i = 0; i < 5; i++) {
      const [source, target] = [some(), some()]
      const { missing, changed, extra, same } = await differences(source, target)
      const nameOf = ({ a, b }: Row) => `${a}/${b}`
      const rows = new Map(target.map((entry) => [nameOf(entry), entry]))
      for (const entry of extra) assert.ok(rows.delete(nameOf(entry)))
      for (const entry of [...missing, ...changed]) rows.set(nameOf(entry), entry)
      assert.deepEqual(
        [...rows.values()].toSorted((one, other) => compareKeys(one, other, table.key)),
        source,
      )
      assert.equal(missing.length + changed.length + same.length, source.length)
    }
  })
})

suite('pages', () => {
  test('come in the order that keys are compared in, whatever their letters', async (t) => {
    const db = await openTestDatabase()
    t.after(() => db.dispose())
    const subjects = ['', 'a', 'A', 'ä', 'é', 'e\u0301', '🐳', '\uffee', 'z', 'Z', '~', '0', 'a/b', 'a-b']
    await db.write((tables) =>
      tables
        .insertInto('leases')
        .values(subjects.map((name) => ({ name, holder: 'me', until: 'then' })))
        .execute(),
    )
    const reading = { name: 'leases', key: ['name'], columns: ['name'] } as const
    const [page = []] = await Array.fromAsync(pagesOf(db, reading))
    const read = page.map(({ name }) => name)
    assert.deepEqual(
      subjects.map((name) => ({ name })).toSorted((one, other) => compareKeys(one, other, ['name'])),
      read.map((name) => ({ name })),
    )
    assert.ok(read.indexOf('\uffee') < read.indexOf('🐳'), 'not by their UTF-16')
  })

  test('hold a thousand rows at most, and all of them together each row once', async (t) => {
    const db = await openTestDatabase()
    t.after(() => db.dispose())
    for (let i = 0; i < 5; i++) {
      const rows = Array.from({ length: 500 }, (_, j) => ({ digest: `${j}/${i}`, size: 1, created_at: '' }))
      await db.write((tables) => tables.insertInto('blobs').values(rows).execute())
    }
    const reading = { name: 'blobs', key: ['digest'], columns: ['digest'] } as const
    const pages = await Array.fromAsync(pagesOf(db, reading))
    assert.deepEqual(
      pages.map(({ length }) => length),
      [1000, 1000, 500],
    )
    assert.equal(new Set(pages.flat().map(({ digest }) => digest)).size, 2_500)
  })
})
