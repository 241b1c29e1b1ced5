import { createRequire } from 'node:module'

/** The program's, as its packages have it. */
export const { version } = createRequire(import.meta.url)('../../package.json') as { readonly version: string }
