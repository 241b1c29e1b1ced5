/** Making names durable: a file that was synced is still lost when the folder that names it was not. */
import { closeFile, openRecent, syncNames } from './descriptor.ts'

/** Does nothing on Windows, where folders cannot be opened and NTFS keeps a journal of names. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const file = openRecent(folder, 'r')
  try {
    await syncNames(file)
  } finally {
    closeFile(file)
  }
}
