import type { Registry } from '../peers/registry.ts'

export const portOf = ({ url }: Registry): number => Number(new URL(url).port)
