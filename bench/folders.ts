import { join } from 'node:path'

export const projectFolder = join(import.meta.dirname, '..')
/** Not under version control: programs that were built for the measurements, and the data of a run while it lasts. */
export const cacheFolder = join(projectFolder, '.cache', 'bench')
