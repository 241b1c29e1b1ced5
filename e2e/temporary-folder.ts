import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TemporaryFolder extends AsyncDisposable {
  readonly folder: string
}

/** An empty folder that is removed, with all it then holds, on disposal. */
export async function temporaryFolder(purpose: string): Promise<TemporaryFolder> {
  const folder = await mkdtemp(join(tmpdir(), `berth-e2e-${purpose}-`))
  return {
    folder,
    // A program that has just ended may still be dropping a mount or a last file.
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }),
  }
}
