/** Files that appear whole or not at all. */
import { randomUUID } from 'node:crypto'
import { link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Writes a file of mode 0600, unless it is there already. Of several processes one wins; the others see its file. */
export async function writeOnce(file: string, text: string): Promise<void> {
  await withTemporary(file, text, async (temporary) => {
    try {
      await link(temporary, file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  })
}

/** Writes a file of mode 0600 in place of whatever is there. */
export async function writeWhole(file: string, text: string): Promise<void> {
  await withTemporary(file, text, (temporary) => rename(temporary, file))
}

async function withTemporary(file: string, text: string, use: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${file}.${randomUUID()}`
  try {
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await use(temporary)
    const folder = await open(dirname(file), 'r')
    await folder.sync().finally(() => folder.close())
  } finally {
    await rm(temporary, { force: true })
  }
}
