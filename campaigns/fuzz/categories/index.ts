/** Every category of the campaign. */
import type { Category } from '../case.ts'
import { basic } from './basic.ts'
import { digests } from './digests.ts'
import { encodings } from './encodings.ts'
import { headers } from './headers.ts'
import { lengths } from './lengths.ts'
import { manifests } from './manifests.ts'
import { methods } from './methods.ts'
import { names } from './names.ts'
import { paths } from './paths.ts'
import { queries } from './queries.ts'
import { ranges } from './ranges.ts'
import { references } from './references.ts'
import { sessions } from './sessions.ts'
import { slow } from './slow.ts'
import { tokenEndpoint } from './token-endpoint.ts'
import { tokens } from './tokens.ts'

export const categories: readonly Category[] = [
  ...[names, digests, references, ranges, lengths, manifests, tokens, basic],
  ...[encodings, paths, headers, methods, queries, sessions, tokenEndpoint, slow],
]
