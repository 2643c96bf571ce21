#version 300 es
// First pass: depth of what is solid. Nothing but depth is kept.
precision highp float;
in vec3 seen;
in float cut; // above 0.5: beyond the silhouette that runs through this triangle
out vec4 color;

const float BORDER = 0.02; // of the frame, which hides nothing: its colour fades out there

void main() {
  vec2 uv = seen.xy / seen.z;
  vec2 edge = min(uv, 1.0 - uv);
  if (cut > 0.5 || min(edge.x, edge.y) < BORDER) discard;
  color = vec4(0.0);
}
