/** For tests: a disk that is soon full. */
import { execFileSync } from 'node:child_process'
import type { TestContext } from 'node:test'

export interface SmallDisk {
  /** Makes room. */
  enlarge(): void
}

/** Runs `work` with 2 MiB mounted over the folder; skips the test, and says why, where the system does not let us. */
export async function onSmallDisk(
  context: TestContext,
  folder: string,
  work: (disk: SmallDisk) => Promise<void>,
): Promise<void> {
  try {
    mount('-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder)
  } catch (error) {
    context.skip(
      `a full disk is not tried: it needs the right to mount a tmpfs, and ${(error as Error).message.trim()}`,
    )
    return
  }
  try {
    await work({ enlarge: () => mount('-o', 'remount,size=20m', folder) })
  } finally {
    execFileSync('umount', ['--lazy', folder]) // files may still be open after a failure, which is the one to tell
  }
}

function mount(...args: string[]): void {
  execFileSync('mount', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
