/** Files that appear whole or not at all, also after a power cut. */
import { randomUUID } from 'node:crypto'
import { link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from './sync-folder.ts'

const ownerOnly = 0o600

/** Writes a file of mode 0600, unless it is there already. Of several processes one wins; the others see its file. */
export async function writeOnce(file: string, text: string): Promise<void> {
  await withTemporary(file, text, ownerOnly, async (temporary) => {
    try {
      await link(temporary, file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  })
}

/** Writes a file in place of whatever is there. mode: the file's, whatever the umask says. */
export async function writeWhole(file: string, text: string, mode = ownerOnly): Promise<void> {
  await withTemporary(file, text, mode, (temporary) => rename(temporary, file))
}

async function withTemporary(
  file: string,
  text: string,
  mode: number,
  use: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = `${file}.${randomUUID()}`
  try {
    const handle = await open(temporary, 'wx', mode)
    try {
      await handle.chmod(mode)
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await use(temporary)
    await syncFolder(dirname(file))
  } finally {
    await rm(temporary, { force: true })
  }
}
