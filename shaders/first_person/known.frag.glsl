#version 300 es
// Whether stored views show a surface at each point: sheets across silhouettes, of far less weight,
// are no knowledge.
precision highp float;
uniform sampler2D sums;
in vec2 at;
out vec4 color;

const float LEAST = 0.002; // weight: below that of a surface seen badly that has begun to show

void main() {
  color = vec4(step(LEAST, texture(sums, at).a));
}
