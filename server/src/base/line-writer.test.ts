import assert from 'node:assert/strict'
import type fs from 'node:fs'
import { suite, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { LineWriter } from './line-writer.ts'

/** What a disk with so much room keeps. */
function smallDisk(room: number) {
  const disk = { room, text: '', tries: 0, failure: 'ENOSPC' }
  const take = (bytes: Uint8Array): number => {
    disk.tries += 1
    if (disk.room === 0) throw Object.assign(new Error(disk.failure), { code: disk.failure })
    const written = Math.min(disk.room, bytes.length)
    disk.text += Buffer.from(bytes.subarray(0, written)).toString()
    disk.room -= written
    return written
  }
  const system = {
    writeSync: (_fd: number, bytes: Uint8Array) => take(bytes),
    write(_fd: number, bytes: Uint8Array, done: (error: Error | null, written: number) => void) {
      process.nextTick(() => {
        let written = 0
        try {
          written = take(bytes)
        } catch (error) {
          done(error as Error, 0)
          return
        }
        done(null, written)
      })
    },
  } as unknown as Pick<typeof fs, 'write' | 'writeSync'>
  const writer = new LineWriter(1, { lost: (lines) => `(${lines} lost)\n`, system })
  return { disk, writer }
}

suite('line writer', () => {
  test('lines come in order, those of one moment together', async () => {
    const { disk, writer } = smallDisk(1_000)
    for (const line of ['a\n', 'b\n', 'c\n']) writer.write(line)
    await setImmediate()
    assert.deepEqual([disk.text, disk.tries], ['a\nb\nc\n', 2])
  })

  for (const failure of ['ENOSPC', 'EIO', 'EDQUOT', 'EPIPE']) {
    test(`${failure} › lines are dropped after one try, and counted in one line once writing works again`, async () => {
      const { disk, writer } = smallDisk(0)
      disk.failure = failure
      for (const line of ['a\n', 'b\n', 'c\n']) {
        writer.write(line)
        await setImmediate()
      }
      assert.equal(disk.tries, 3)
      disk.room = 1_000
      for (const line of ['d\n', 'e\n']) {
        writer.write(line)
        await setImmediate()
      }
      assert.equal(disk.text, '(3 lost)\nd\ne\n')
    })
  }

  test('a disk that becomes full within a line › only what is not whole is lost, and the next line begins anew', async () => {
    const { disk, writer } = smallDisk(6)
    for (const line of ['one\n', 'two\n', 'three\n']) writer.write(line)
    await setImmediate()
    disk.room = 1_000
    writer.write('four\n')
    await setImmediate()
    assert.equal(disk.text, 'one\ntw\n(2 lost)\nfour\n')
  })

  test('a full disk › flush ends, and does not try for ever', () => {
    const { disk, writer } = smallDisk(0)
    for (let line = 0; line < 10; line++) writer.write('a\n')
    writer.flush()
    assert.equal(disk.tries, 1, 'the rest together; the first is on its way')
  })

  test('a reader that is busy › is tried again, by flush for a second at most', async () => {
    const { disk, writer } = smallDisk(0)
    disk.failure = 'EAGAIN'
    writer.write('a\n')
    await setImmediate()
    writer.write('b\n')
    const began = performance.now()
    writer.flush()
    assert.ok(performance.now() - began < 3_000)
    disk.room = 1_000
    await new Promise((resolve) => setTimeout(resolve, 300))
    writer.write('c\n')
    await setImmediate()
    assert.equal(disk.text, 'a\n(1 lost)\nc\n')
  })

  test('a reader that takes nothing › no more than some MB wait for it', async () => {
    const { disk, writer } = smallDisk(0)
    disk.failure = 'EAGAIN'
    const line = `${'x'.repeat(1024 * 1024 - 1)}\n`
    for (let count = 0; count < 10; count++) writer.write(line)
    disk.room = 100_000_000
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.equal(disk.text.replace(/x+\n/g, 'x'), 'x(5 lost)\nxxxx')
  })
})
