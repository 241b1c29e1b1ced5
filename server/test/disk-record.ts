/**
 * For tests: what this process asks of the disk, and in which order. To kill a process proves nothing about it, because
 * the system's cache survives. Every call of `node:fs` that writes, syncs or names is seen, whichever module makes it;
 * what SQLite does by itself is not.
 */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { relative, resolve } from 'node:path'
import { setImmediate as nextTick } from 'node:timers/promises'

export interface DiskRecord {
  /** Forgets everything; from now on paths are relative to `folder`, and what lies outside of it is left out. */
  restart(folder: string): void
  /** Writes down what is no operation of the disk, such as an answer. */
  note(what: string): void
  /** In the order in which they began, such as `sync sha256/ab`; random names are `*`. */
  operations(): string[]
  /** Each must have begun after the one before it had ended well; others may lie in between. */
  assertOrder(expected: readonly string[]): void
  /** Called with the path before each sync of a file or folder, which then waits; where it throws, the sync fails. */
  beforeSync: ((path: string) => Promise<void> | void) | undefined
}

/** Syncs are so many turns of the event loop late, which finds out whoever does not wait for them. */
const slowTurns = 20

interface Event {
  readonly what: string
  readonly begun: number
  /** Infinite while it runs, and for ever when it failed. */
  ended: number
}

/**
 * Once in a process, and before the modules under test are loaded: some keep the functions they find. Nothing is undone,
 * so it belongs into a test file, which has a process of its own.
 */
export function recordDisk(): DiskRecord {
  let events: Event[] = []
  let time = 0
  let root = ''
  const paths = new Map<number, string>()

  const nameOf = (path: unknown): string | undefined => {
    const name = relative(root, resolve(String(path)))
    return root === '' || name.startsWith('..')
      ? undefined
      : name.replaceAll(/\b[0-9a-f]{8}(-[0-9a-f]{4,12}){4}/g, '*') || '.'
  }
  const begin = (what: string): Event => {
    const event = { what, begun: ++time, ended: Number.POSITIVE_INFINITY }
    events.push(event)
    return event
  }
  const during = async <T>(what: string, names: readonly unknown[], run: () => Promise<T>): Promise<T> => {
    const known = names.map(nameOf)
    if (known.includes(undefined)) return run()
    const event = begin(`${what} ${known.join(' -> ')}`)
    if (what === 'sync') {
      await record.beforeSync?.(known[0] ?? '')
      for (let turn = 0; turn < slowTurns; turn++) await nextTick()
    }
    const result = await run()
    event.ended = ++time
    return result
  }

  const record: DiskRecord = {
    beforeSync: undefined,
    restart(folder) {
      events = []
      root = folder
    },
    note(what) {
      begin(what).ended = ++time
    },
    operations: () => events.map(({ what }) => what),
    assertOrder(expected) {
      let after = 0
      for (const what of expected) {
        const found = events.find((event) => event.what === what && event.begun > after && Number.isFinite(event.ended))
        const seen = () => `"${what}" is missing or comes too early in:\n  ${record.operations().join('\n  ')}`
        after = found?.ended ?? assert.fail(seen())
      }
    },
  }
  watchCallbacks(during, paths)
  watchPromises(during)
  syncBuiltinESMExports()
  return record
}

type During = <T>(what: string, names: readonly unknown[], run: () => Promise<T>) => Promise<T>
type Callback = (error: unknown, ...results: unknown[]) => void
type WithCallback = (...args: unknown[]) => void

function watchCallbacks(during: During, paths: Map<number, string>): void {
  const functions = fs as unknown as Record<string, WithCallback>
  const replace = (name: string, around: (args: unknown[], run: () => Promise<unknown[]>) => Promise<unknown[]>) => {
    const original = functions[name] as WithCallback
    const watched = (...given: unknown[]): void => {
      const args = given.slice(0, -1)
      const callback = given.at(-1) as Callback
      const run = () =>
        new Promise<unknown[]>((done, fail) => {
          original(...args, (error: unknown, ...results: unknown[]) => (error ? fail(error) : done(results)))
        })
      around(args, run).then(
        (results) => callback(null, ...results),
        (error: unknown) => callback(error),
      )
    }
    // With what `promisify` needs to know about it.
    functions[name] = Object.defineProperties(watched, Object.getOwnPropertyDescriptors(original))
  }
  const pathOf = (file: unknown) => paths.get(file as number) ?? '/'
  replace('open', async ([path], run) => {
    const results = await run()
    paths.set(results[0] as number, String(path))
    return results
  })
  const { openSync } = fs
  fs.openSync = (path, ...rest) => {
    const file = openSync(path, ...rest)
    paths.set(file, String(path))
    return file
  }
  replace('write', ([file], run) => during('write', [pathOf(file)], run))
  for (const name of ['fsync', 'fdatasync']) replace(name, ([file], run) => during('sync', [pathOf(file)], run))
}

function watchPromises(during: During): void {
  const { link, mkdir, open, rename } = fs.promises
  fs.promises.link = (from, to) => during('link', [from, to], () => link(from, to))
  fs.promises.rename = (from, to) => during('rename', [from, to], () => rename(from, to))
  fs.promises.mkdir = ((path: string, options: fs.MakeDirectoryOptions) =>
    during('make', [path], () => mkdir(path, options))) as typeof mkdir
  fs.promises.open = async (path, ...rest) => {
    const handle = await open(path, ...rest)
    const methods = handle as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
    for (const [method, what] of methodsOfHandles) {
      const original = methods[method]!.bind(handle)
      methods[method] = (...args) => during(what, [path], () => original(...args))
    }
    return handle
  }
}

const methodsOfHandles = [
  ['write', 'write'],
  ['writeFile', 'write'],
  ['sync', 'sync'],
  ['datasync', 'sync'],
] as const satisfies readonly (readonly [keyof FileHandle, string])[]
