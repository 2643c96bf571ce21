#version 300 es
// Last pass: the weighted mean of the views.
precision highp float;
uniform sampler2D sums;
in vec2 at;
out vec4 color;

const vec3 NOTHING = vec3(0.05, 0.05, 0.06);

void main() {
  vec4 sum = texture(sums, at);
  color = vec4(sum.a > 0.0 ? sum.rgb / sum.a : NOTHING, 1.0);
}
