import type { ReplyHeaders } from '../../http/reply.ts'

/**
 * Where an upload session goes on and how far it has come. path: of the session, a path without a query, because one
 * client drops the query and both SDKs refuse an absolute URL. `Range: 0-0` also stands for "nothing yet", as ACR has it.
 */
export function uploadHeaders(path: string, session: string, offset: number): ReplyHeaders {
  return { Location: path, Range: `0-${Math.max(0, offset - 1)}`, 'Docker-Upload-UUID': session }
}
