/** Making names durable: a file that was synced is still lost when the folder that names it was not. */
import { open } from 'node:fs/promises'

/** Does nothing on Windows, where folders cannot be opened and NTFS keeps a journal of names. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
