import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const repositoryFolder = fileURLToPath(new URL('../../', import.meta.url))
const clientsFolder = join(repositoryFolder, '.cache', 'clients')
export const clientBinFolder = join(clientsFolder, 'bin')
/** A folder for each npm package among the clients. */
export const clientPackagesFolder = join(clientsFolder, 'npm')
/** What `install.ts` found: client name → where it is, or why it is missing. */
export const clientsFile = join(clientsFolder, 'clients.json')
/** The folder of packed binaries that stands beside the repository where the project is developed. */
export const packedBinariesFolder = join(repositoryFolder, '..', 'shared', 'clients')
