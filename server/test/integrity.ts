/** A registry whose blobs are files that a test can harm, and what a check says about it. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { algorithmOf, hexOf } from '@berth/oci'
import { openFilesystemBlobStore } from '../src/backends/blobs/filesystem.ts'
import {
  type CheckOptions,
  createIntegrityChecker,
  type Finding,
  type IntegrityChecker,
} from '../src/core/registry/integrity/check.ts'
import { dayMs, openTestCore, type TestCore } from './core.ts'
import type { Content } from './images.ts'

export interface TestIntegrity extends TestCore {
  readonly folder: string
  readonly checker: IntegrityChecker
  fileOf(blob: Content): string
  /** Changes one bit, as a disk may. */
  flip(blob: Content): Promise<void>
  check(options?: Partial<CheckOptions>): Promise<Finding[]>
}

export async function openTestIntegrity(): Promise<TestIntegrity & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-integrity-'))
  const store = await openFilesystemBlobStore({ folder })
  const core = await openTestCore({ store })
  const checker = createIntegrityChecker(core.db, store, core.clock)
  const fileOf = ({ digest }: Content) => join(folder, algorithmOf(digest), hexOf(digest).slice(0, 2), hexOf(digest))
  return {
    ...core,
    folder,
    checker,
    fileOf,
    async flip(blob) {
      const bytes = await readFile(fileOf(blob))
      const middle = Math.floor(bytes.length / 2)
      bytes[middle] = (bytes[middle] ?? 0) ^ 1
      await writeFile(fileOf(blob), bytes)
    },
    check: (options = {}) => Array.fromAsync(checker.check({ uploadExpiryMs: dayMs, ...options })),
    async [Symbol.asyncDispose]() {
      await core[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

/** `outcome kind: name in place, place`. */
export const brief = (findings: readonly Finding[]): string[] =>
  findings.map(({ outcome, kind, name, where }) => {
    const places = where.length === 0 ? '' : ` in ${where.join(', ')}`
    return `${outcome} ${kind}: ${name}${places}`
  })
