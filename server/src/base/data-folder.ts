import { accessSync, constants } from 'node:fs'

/** Why a folder cannot be taken for a server's, in a sentence; undefined where the file that makes it one can be read. */
export function noDataFolder(folder: string, file: string, access = accessSync): string | undefined {
  try {
    access(file, constants.R_OK)
    return undefined
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    return code === 'ENOENT' || code === 'ENOTDIR'
      ? `${folder} is not the data folder of a server; name it with --data`
      : `${folder} cannot be read (${code}): the user of its server may`
  }
}
